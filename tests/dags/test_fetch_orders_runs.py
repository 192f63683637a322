from typing import Any

from tests.conftest import BackOffice
from tests.shelf import order

WINDOW = {"window_start": "2026-01-05T00:00:00+03:00", "window_end": "2026-01-06T00:00:00+03:00"}


def test_a_manual_run_brings_its_window(dag_bag: Any, connections: None, back_office: BackOffice, shelf: Any) -> None:
    shelf(*(order(str(number), minutes=number) for number in range(5)))

    run = dag_bag.get_dag("fetch_orders__shelf").test(run_conf=WINDOW, logical_date=None)

    assert run.state == "success"
    assert len(back_office.rows("orders")) == 5
