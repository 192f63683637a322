# Everything a person does with this repository. Needs Python 3.11+, make and git; the rest is installed here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHANNEL ?= marketplace
export PYTHONPATH := $(CURDIR)/plugins:$(CURDIR)

.PHONY: help run up down clean test faults hostile canaries conformance judge check env lock
help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/'

# The stamp, not the folder, says the environment is whole: an install that was cut off is done again.
$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.txt
	@touch $@
env: $(VENV)/.installed  ## make the environment (every other target does it by itself)

run: env  ## the main job: the story of a channel's orders, all flows (CHANNEL=marketplace or medusa; ARGS="--json FILE")
	@$(BIN)/python -m sandbox.run once --channel $(CHANNEL) $(ARGS)
up: env  ## the same, and keep everything running to look around
	@$(BIN)/python -m sandbox.run up --channel $(CHANNEL) $(ARGS)
down: env  ## end what `make up` keeps running
	@$(BIN)/python -m sandbox.run down
clean: env  ## end it, and forget its databases
	@$(BIN)/python -m sandbox.run clean

test: env  ## all tests, a process a core (ARGS='-m "not e2e"': without those that take minutes)
	$(BIN)/pytest -n auto --dist loadfile -m "not by_hand" $(ARGS)
hostile: env  ## a simulated week at a hostile marketplace, and 10,000 orders over failing servers (ARGS="--windows 96")
	@$(BIN)/python -m tests.hostile $(ARGS)
faults: env  ## each call of each flow fails, is killed, is raced, in every way (ARGS='--flows fetch_orders --only kills')
	@$(BIN)/python -m tests.sweeps $(ARGS)
canaries: env  ## nobody's data where it may not be: whatever servers answer, connectors raise, and signals end
	$(BIN)/pytest -n 0 tests/security $(ARGS)
conformance: env  ## every connector by the suite that judges them, Medusa's on a real server
	$(BIN)/pytest -n 0 tests/conformance tests/channels/test_marketplace_conformance.py $(ARGS)
# The client that Omnitron's makers publish, in an environment of its own: it shall find our stand-in as the real one is.
.run/judge/.installed: tests/judge/requirements.txt | $(VENV)/.installed
	$(BIN)/uv venv --quiet --clear .run/judge
	VIRTUAL_ENV=.run/judge $(BIN)/uv pip install --quiet --require-hashes -r $<
	@touch $@
judge: .run/judge/.installed  ## the existing client of Omnitron's interface against our stand-in of it
	$(BIN)/pytest -n 0 tests/judge $(ARGS)
check: env  ## lint, types, the arrows between rooms, the compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml

lock: env  ## write the pins again, at the newest versions that fit pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --all-extras --upgrade \
	  pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt \
	  pyproject.toml -o requirements-runtime.txt
