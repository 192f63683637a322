"""What can be set for a channel gets into Omnitron's form; what is set there is checked, by code and pk."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from order_integration.errors import ConfigurationError, ContractError
from order_integration.flows import update_channel_conf_schema as flow
from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.steps import Steps, config
from tests.shelf_requests import RequestShelf

COLOUR = {"required": False, "data_type": "text", "key": "colour", "label": "Colour of the shelf"}
OURS = {"reason_mapping", "cancellation_reason_id", "CUSTOMER_IDENTIFIER_FIELD"}
CHANNEL = "/admin/channels/1"


@pytest.fixture
def steps(steps: Steps) -> Iterator[Steps]:
    RequestShelf.start_again()
    steps.channel = config(connector="tests.shelf_requests:RequestShelf")
    yield steps
    RequestShelf.start_again()


def run(steps: Steps) -> dict[str, Any]:
    """fetch and push, as the DAG's tasks."""

    async def both() -> dict[str, Any]:
        folder = Folder.of_attempt(steps.staging, steps.channel.name, flow.FLOW, f"run-{steps.runs}", "fetch")
        async with steps.connector() as connector:
            await flow.fetch(connector, folder)
        async with steps.omnitron() as omnitron:
            return await flow.push(omnitron, folder.read(flow.ENTRIES))

    steps.runs += 1
    return asyncio.run(both())


def schema(office: BackOffice) -> dict[str, Any]:
    office.rows("orders")  # logs in
    return office.get("/api/v1/channels/1/").json()["schema"]


def conf(office: BackOffice, **own: Any) -> None:
    office.patch(CHANNEL, json={"conf": own}).raise_for_status()


def patches(office: BackOffice) -> int:
    return len(office.calls("PATCH", "/channels/1/"))


@pytest.mark.defect("G5")
def test_the_form_gets_what_every_channel_has_and_what_the_connector_adds(
    steps: Steps, back_office: BackOffice
) -> None:
    RequestShelf.entries = {"colour": COLOUR, "sizes": {"data_type": "list", "label": "Sizes", "schema": {"of": "x"}}}

    said = run(steps)

    found = schema(back_office)
    assert set(found) == {*OURS, "colour", "sizes"}
    assert {key: one["data_type"] for key, one in found.items() if key in OURS} == {
        "reason_mapping": "json",
        "cancellation_reason_id": "integer",
        "CUSTOMER_IDENTIFIER_FIELD": "text",
    }
    assert {key for key, one in found.items() if one["required"]} == {"reason_mapping"}
    assert all(one["key"] == key and one["label"] for key, one in found.items())
    assert found["colour"] == COLOUR
    assert found["sizes"]["schema"] == {"of": "x"}
    assert (said["published"], said["unchanged"]) == (5, 0)


@pytest.mark.defect("G5")
def test_what_others_put_into_the_form_stays(steps: Steps, back_office: BackOffice) -> None:
    theirs = {"base_url": {"required": True, "data_type": "URL", "key": "base_url", "label": "Address"}}
    ours = {"reason_mapping": {"data_type": "text", "key": "reason_mapping", "label": "Old", "help": "Ask Ayşe"}}
    back_office.patch(CHANNEL, json={"schema": theirs | ours}).raise_for_status()

    said = run(steps)

    found = schema(back_office)
    assert found["base_url"] == theirs["base_url"]
    assert (found["reason_mapping"]["data_type"], found["reason_mapping"]["help"]) == ("json", "Ask Ayşe")
    assert set(found) == {*OURS, "base_url"}
    assert (said["published"], said["unchanged"]) == (3, 1)


def test_where_nothing_differs_nothing_is_sent(steps: Steps, back_office: BackOffice) -> None:
    RequestShelf.entries = {"colour": COLOUR}
    run(steps)

    said = run(steps)

    assert (said["published"], said["unchanged"]) == (0, 4)
    assert patches(back_office) == 1


def test_an_answer_that_was_lost_is_no_harm(steps: Steps, back_office: BackOffice) -> None:
    back_office.fault("PATCH", "/channels/1/$", "cut_after")

    run(steps)

    assert set(schema(back_office)) == OURS


@pytest.mark.parametrize(
    ("key", "entry", "sentence"),
    [
        ("colour", {**COLOUR, "data_type": "rainbow"}, "'colour' is no entry: data_type"),
        ("colour", {"data_type": "text"}, "'colour' is no entry: label"),
        ("colour", {**COLOUR, "widget": "slider"}, "'colour' is no entry: widget"),
        ("colour", "text", "'colour' is no entry: not a dict"),
        ("shade", COLOUR, "'shade' says that its key is 'colour'"),
        ("reason_mapping", COLOUR, "gives 'reason_mapping', which every channel has already"),
    ],
    ids=["type", "missing", "unknown", "text", "key", "ours"],
)
def test_a_connector_s_entry_that_the_form_would_not_know_is_named_before_anything_is_sent(
    steps: Steps, back_office: BackOffice, key: str, entry: Any, sentence: str
) -> None:
    RequestShelf.entries = {key: entry}

    with pytest.raises(ContractError) as refused:
        run(steps)

    assert sentence in str(refused.value)
    assert patches(back_office) == 0


def test_without_anything_set_the_form_is_published_all_the_same(steps: Steps, back_office: BackOffice) -> None:
    """The form has to be there before somebody can fill it in."""
    said = run(steps)

    assert said["reasons"] == 0
    assert set(schema(back_office)) == OURS


@pytest.mark.parametrize("mapping", [{"CHANGED_MIND": 1, "LATE": 2}, '{"CHANGED_MIND": 1, "LATE": 2}'])
def test_reasons_that_omnitron_has_are_fine(steps: Steps, back_office: BackOffice, mapping: Any) -> None:
    back_office.told(cancellation_reasons=[{"id": 2, "subject": "Geç kaldı", "cancellation_type": "refund"}])
    conf(back_office, reason_mapping=mapping, cancellation_reason_id=1, CUSTOMER_IDENTIFIER_FIELD="phone_number")

    assert run(steps)["reasons"] == 2


@pytest.mark.defect("K1")
def test_reasons_that_omnitron_does_not_have_or_has_put_away_are_named_all_at_once(
    steps: Steps, back_office: BackOffice
) -> None:
    back_office.told(cancellation_reasons=[{"id": 2, "subject": "Eski", "is_active": False}])
    conf(back_office, reason_mapping={"FINE": 1, "OLD": 2, "GONE": 99}, cancellation_reason_id=98)

    with pytest.raises(ConfigurationError) as refused:
        run(steps)

    said = str(refused.value)
    assert "reason_mapping 'OLD' → 2: this cancellation reason is not active" in said
    assert "reason_mapping 'GONE' → 99: Omnitron has no such cancellation reason" in said
    assert "cancellation_reason_id → 98: Omnitron has no such cancellation reason" in said
    assert "FINE" not in said
    assert set(schema(back_office)) == OURS


def test_all_pages_of_reasons_are_read(steps: Steps, back_office: BackOffice) -> None:
    back_office.told(cancellation_reasons=[{"id": number, "subject": f"R{number}"} for number in range(2, 152)])
    conf(back_office, reason_mapping={"FIRST": 1, "LAST": 151})

    assert run(steps)["reasons"] == 2


def test_codes_that_can_t_be_told_apart_on_the_way_back_are_named(steps: Steps, back_office: BackOffice) -> None:
    conf(back_office, reason_mapping={"TOO_SMALL": 1, "TOO_LARGE": 1})

    with pytest.raises(ConfigurationError) as refused:
        run(steps)

    assert "TOO_SMALL" in str(refused.value)
    assert "TOO_LARGE" in str(refused.value)


def test_an_identifier_that_nobody_knows_is_named(steps: Steps, back_office: BackOffice) -> None:
    conf(back_office, CUSTOMER_IDENTIFIER_FIELD="shoe size")

    with pytest.raises(ConfigurationError, match="CUSTOMER_IDENTIFIER_FIELD is 'shoe size', not one of email, phone"):
        run(steps)


@pytest.mark.parametrize("mapping", ["no json", '["a"]', {"CODE": "many"}])
def test_a_mapping_that_is_none_is_named(steps: Steps, back_office: BackOffice, mapping: Any) -> None:
    conf(back_office, reason_mapping=mapping)

    with pytest.raises(ConfigurationError, match="reason_mapping"):
        run(steps)


@pytest.mark.defect("G4")
def test_a_channel_that_is_not_active_is_said_and_not_passed_over(steps: Steps, back_office: BackOffice) -> None:
    back_office.patch(CHANNEL, json={"is_active": False}).raise_for_status()

    with pytest.raises(ConfigurationError, match="channel 1 is not active in Omnitron"):
        run(steps)
