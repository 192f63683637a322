"""A process of its own that runs one flow, to be killed in the middle of it. Its environment comes from the test."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: tests.dags.conftest has to name it before.

import faulthandler
import os
import shutil
import sys
from pathlib import Path


def main(home: str, flow: str) -> None:
    from tests.dags import conftest
    from tests.security.conftest import DAY

    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "ORDER_INTEGRATION_CHANNELS": f"{home}/channels.yaml",
        "ORDER_INTEGRATION_STAGING": f"file://{home}/staging",
        "ORDER_INTEGRATION_STATE": f"{home}/state",
    }
    own = {**conftest.SHELF, "connector": "tests.security.shelf:CanaryShelf"}
    conftest.write_channels(Path(home, "channels.yaml"), {"shelf": own})
    shutil.rmtree(conftest.HOME)  # whoever is killed clears nothing away
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.utils import db

    from tests.dags.runs import start
    from tests.security.people import good_and_bad
    from tests.security.shelf import Shelf

    db.initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(conftest.ROOT / "dags"), bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    Shelf.orders[:] = good_and_bad()
    faulthandler.enable(all_threads=True)
    start(bag.get_dag(f"{flow}__shelf"), conf=DAY)


if __name__ == "__main__":
    main(*sys.argv[1:])
