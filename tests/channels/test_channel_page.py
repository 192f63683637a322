"""docs/channels.md: its code is a package outside this repository, and orders arrive with it."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from order_integration.channels import commands
from order_integration.channels.commands import ChannelConnection, Window
from order_integration.channels.registry import ChannelConfig, connector_class, load_channels
from order_integration.flows.windows import Reading
from sandbox.faults import running
from tests.channels.channel_page import PAGE, ROOT, files, installed, written
from tests.channels.corner_shop import KEY, create_app
from tests.conftest import BackOffice
from tests.flows.steps import Steps, config, results

SMALLEST = "corner_shop/orders.py"
NAMES = ("corner_shop.orders:SmallShop", "corner_shop.connector:CornerShop", "corner_shop")
SEVEN = {
    "GetOrders",
    "SendUpdatedOrders",
    "CheckOrders",
    "GetCancelledOrders",
    "GetUpdatedOrderItems",
    "GetCancellationRequests",
    "UpdateCancellationRequest",
}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with installed(written(folder)):
        yield folder


@pytest.fixture
def shop_of(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Callable[[str, str], Steps]:
    def steps(connector: str, url: str) -> Steps:
        channel = config(name="corner_shop", connector=connector, page_size=2)
        return Steps(omnitron_url, tmp_path, channel, ChannelConnection(url, password=KEY))

    return steps


def test_the_smallest_connector_has_fewer_than_100_lines() -> None:
    assert len(files()[SMALLEST].splitlines()) < 100


@pytest.mark.parametrize("connector", NAMES)
def test_orders_arrive_with_a_connector_outside_this_repository(
    page: Path, shop_of: Callable[[str, str], Steps], back_office: BackOffice, connector: str
) -> None:
    with running(create_app()) as url, httpx.Client(base_url=url) as shop:
        placed = [shop.post("/shop/orders", params={"units": units}).json() for units in (1, 2, 3)]
        now = datetime.now(UTC)
        window = Window(now - timedelta(hours=1), now + timedelta(hours=1))
        steps = shop_of(connector, url)

        first = steps.run(Reading(window, window.start))
        second = steps.run(Reading(window, window.start))

    assert (results(first), results(second)) == ({"created": 3}, {"already_there": 3})
    assert set(back_office.linked("order")) == {order["id"] for order in placed}
    amounts = {row["number"]: row["amount"] for row in back_office.rows("orders")}
    assert amounts == {f"CS-{order['id']}": order["total"] for order in placed}
    assert len(back_office.rows("order_items")) == 6
    assert not Path(__import__(connector_class(steps.channel).__module__).__file__).is_relative_to(ROOT)


def test_the_page_has_a_command_for_each_flow(page: Path) -> None:
    found = connector_class(config(connector="corner_shop")).commands

    assert {base.__name__ for command in found for base in command.__mro__} >= {*SEVEN, "GetChannelConfSchema"}


@pytest.mark.parametrize("name", sorted(set(commands.__all__) & {*SEVEN, "GetChannelConfSchema"}))
def test_the_page_speaks_of_every_command(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_channel_of_the_page_is_configured_as_it_says(page: Path, tmp_path: Path) -> None:
    file = tmp_path / "channels.yaml"
    file.write_text(re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0], "utf-8")

    channel = load_channels(file)["corner_shop"]

    assert isinstance(channel, ChannelConfig)
    assert connector_class(channel).__name__ == "CornerShop"


def test_the_page_shows_no_code_that_is_not_tried() -> None:
    shown = re.findall(r"^```python$", PAGE, flags=re.MULTILINE)

    assert len(shown) == len(files())


def test_only_the_conformance_suite_imports_pytest() -> None:
    package = ROOT / "plugins/order_integration"
    users = {
        path.parent.name
        for path in package.rglob("*.py")
        if re.search(r"^\s*(import|from) pytest", path.read_text("utf-8"), re.MULTILINE)
    }

    assert users == {"conformance"}
