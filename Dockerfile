# Two images: `airflow` runs the flows, `sandbox` the stand-ins of Omnitron and of a marketplace.
#
#   docker build --target airflow .        what a deployment needs: Airflow and requirements-runtime.txt
#   docker build --target sandbox .        for a trial: requirements.txt, which pins the tests' needs as well
#
# dags/, plugins/ and config/ are not in the images: docker-compose.yaml mounts them.

FROM apache/airflow:3.3.2-python3.11 AS airflow
# The volumes of docker-compose.yaml are mounted here; a new volume takes over owner and mode.
USER root
RUN install -d -o airflow -g root -m 0700 /opt/airflow/order_integration /opt/airflow/auth
USER airflow
COPY requirements-runtime.txt /tmp/requirements-runtime.txt
# The base image holds many providers at the versions of Airflow's own constraints. These pins are the ones that the
# tests ran with, and they win: Airflow's pin is the same, so it is not moved, but a provider that this package does
# not use may no longer fit. `pip check` names them. Before you use one, add it to `dependencies` in
# pyproject.toml and run `make lock`: then its version is chosen together with all others.
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-runtime.txt \
 && (pip check || echo "The packages above belong to the base image; order_integration does not use them.") \
 && airflow version

FROM python:3.11-slim AS sandbox
WORKDIR /srv
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt \
 && useradd --uid 50000 --create-home sandbox && install -d -o sandbox -m 0700 /srv/data
COPY sandbox ./sandbox
USER sandbox
ENV PYTHONPATH=/srv PYTHONUNBUFFERED=1
