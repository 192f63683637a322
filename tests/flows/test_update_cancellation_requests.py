"""Flow 7 against the sandbox Omnitron: what the channel is told, and what becomes of its answers."""

import asyncio
from typing import Any

import pytest

from order_integration.dto import CancellationType
from order_integration.errors import ConfigurationError, ContractError, RetriableError
from order_integration.flows.outbound import State
from tests.conftest import BackOffice
from tests.flows.request_steps import (
    API,
    RequestSteps,
    answer,
    ask,
    batches,
    decide,
    due,
    failed_as,
    map_reasons,
    reject,
    reports,
    start,
    told,
    writes,
)
from tests.flows.steps import Steps
from tests.shelf_requests import RequestShelf


@pytest.fixture
def requests(steps: Steps, back_office: BackOffice, shelf: Any) -> RequestSteps:
    return start(steps, back_office)


# what is told ---------------------------------------------------------------------------------------------------------


@pytest.mark.defect("P1", "P3")
def test_a_decision_is_told_in_the_channel_s_words(requests: RequestSteps, back_office: BackOffice) -> None:
    accepted = ask(back_office, "1-1/1", "R1", reason=2, description="Kapağı kırık.")
    rejected = ask(back_office, "2-1/3", "R2", cancellation_type="cancel", description=None)
    decide(back_office, accepted)
    reject(back_office, rejected)

    table = requests.run()

    assert (table["due"], table["succeeded"], table["failed"]) == (2, 2, 0)
    [first], [second] = sorted(RequestShelf.told, key=lambda call: str(call[0].remote_id))
    assert (first.remote_id, first.order_item, first.reason, first.status) == ("R1", "1-1/1", "DAMAGED", "completed")
    assert (first.description, first.cancellation_type) == ("Kapağı kırık.", CancellationType.REFUND)
    assert (second.remote_id, second.order_item, second.reason) == ("R2", "2-1/3", "CHANGED_MIND")
    assert (second.status, second.description, second.cancellation_type) == ("rejected", None, CancellationType.CANCEL)
    assert batches(back_office) == ["done"]
    assert failed_as(back_office) == {accepted: None, rejected: None}
    assert requests.verdict() is None


def test_a_request_that_nobody_decided_on_yet_is_told_as_it_stands(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    decide(back_office, ask(back_office, "1-1/1", "R1"), "approved")

    requests.run()

    assert told() == [[("R1", "approved")]]
    assert due(back_office) == set()


@pytest.mark.defect("B16")
def test_a_second_run_finds_nothing_due_and_writes_nothing(requests: RequestSteps, back_office: BackOffice) -> None:
    decide(back_office, ask(back_office, "1-1/1", "R1"))
    requests.run()
    back_office.delete("/admin/requests")

    table = requests.run()

    assert (table["due"], requests.verdict()) == (0, None)
    assert writes(back_office) == []
    assert len(RequestShelf.told) == 1


@pytest.mark.parametrize("as_array", [False, True], ids=["pages", "array"])
def test_all_that_is_due_is_read_before_the_first_commit(
    requests: RequestSteps, back_office: BackOffice, as_array: bool
) -> None:
    back_office.switch(updates_as_array=as_array)
    pks = [ask(back_office, "1-1/1", f"R{number}") for number in range(120)]
    for pk in pks:
        reject(back_office, pk)

    table = requests.run()

    assert table["succeeded"] == 120
    assert len({call[0].remote_id for call in RequestShelf.told}) == len(RequestShelf.told) == 120
    assert batches(back_office) == ["done"]
    assert due(back_office) == set()


@pytest.mark.defect("P6")
def test_links_are_read_in_bulk_however_many_are_due(requests: RequestSteps, back_office: BackOffice) -> None:
    def calls(count: int) -> int:
        for pk in [ask(back_office, "1-1/1", f"R{count}-{number}") for number in range(count)]:
            reject(back_office, pk)
        back_office.delete("/admin/requests")
        requests.run()
        return len(back_office.get("/admin/requests").json())

    assert calls(1) == calls(40)


@pytest.mark.defect("P1")
@pytest.mark.parametrize("mapping", [{"12": 1}, {"ab": 1, "10": 2}, '{"12": 1}', {"A LONG ONE": "1"}])
def test_a_mapping_of_any_codes_is_read_backwards(
    requests: RequestSteps, back_office: BackOffice, mapping: Any
) -> None:
    map_reasons(back_office, mapping)
    reject(back_office, ask(back_office, "1-1/1", "R1"))

    requests.run()

    expected = "12" if "12" in mapping else next(iter(mapping))
    assert [call[0].reason for call in RequestShelf.told] == [expected]


# what can't be told ---------------------------------------------------------------------------------------------------


@pytest.mark.defect("K1", "P2")
def test_a_reason_that_nobody_mapped_fails_its_request_alone_and_nothing_is_guessed(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    back_office.told(cancellation_reasons=[{"id": 3, "subject": "Geç"}])
    bad, good = ask(back_office, "1-1/1", "R1", reason=3), ask(back_office, "1-1/2", "R2")
    reject(back_office, bad)
    reject(back_office, good)

    table = requests.run()

    assert told() == [[("R2", "rejected")]]
    assert failed_as(back_office) == {bad: "mapping", good: None}
    assert table["reasons"] == {"mapping": 1}
    assert reports(back_office) == ["R1: mapping: cancellation reason 3 is not in reason_mapping"]
    assert due(back_office) == {bad}


@pytest.mark.defect("P3")
def test_an_item_that_is_not_linked_fails_its_request_alone(requests: RequestSteps, back_office: BackOffice) -> None:
    bad, good = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    item = back_office.linked("orderitem")["1-1/1"]
    [action] = back_office.rows("integration_actions", content_type_name="orderitem", object_id=item)
    back_office.patch(f"{API}/integration_actions/{action['pk']}/", json={"remote_id": None}).raise_for_status()
    reject(back_office, bad)
    reject(back_office, good)

    requests.run()

    assert told() == [[("R2", "rejected")]]
    assert failed_as(back_office) == {bad: "mapping", good: None}
    assert f"order item {item} is linked with none of the channel's ids" in reports(back_office)[0]


@pytest.mark.defect("P3")
def test_a_request_without_the_channel_s_id_fails_alone_and_its_link_stays_empty(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    bad, good = ask(back_office, "1-1/1", None), ask(back_office, "1-1/2", "R2")
    reject(back_office, bad)
    reject(back_office, good)

    requests.run()

    assert told() == [[("R2", "rejected")]]
    assert failed_as(back_office) == {bad: "mapping", good: None}
    [action] = back_office.rows("integration_actions", content_type_name="cancellationrequest", object_id=bad)
    assert action["remote_id"] is None
    assert reports(back_office) == [
        f"request {bad}: mapping: this request is linked with none of the channel's ids; one is expected"
    ]


@pytest.mark.defect("P3")
def test_of_several_links_none_is_guessed(requests: RequestSteps, back_office: BackOffice) -> None:
    bad, good = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    reject(back_office, bad)
    reject(back_office, good)
    rows = back_office.rows("integration_actions", content_type_name="cancellationrequest")
    second = {**rows[0], "pk": 1, "id": 1, "remote_id": "R9"}
    back_office.fault("GET", "/integration_actions/$", "status", status=200, body=[*rows, second])

    requests.run()

    assert told() == [[("R2", "rejected")]]
    assert failed_as(back_office) == {bad: "mapping", good: None}
    assert "this request is linked with 2 of the channel's ids; one is expected" in reports(back_office)[0]
    assert back_office.linked("cancellationrequest") == {"R2": good}


@pytest.mark.defect("P1", "B1")
def test_codes_that_can_t_be_told_apart_are_said_before_anything_is_done(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1", reason=2))  # the next one may be of the other reason
    map_reasons(back_office, {"TOO_SMALL": 1, "TOO_LARGE": 1, "DAMAGED": 2})

    with pytest.raises(ConfigurationError) as refused:
        requests.run()

    assert "'TOO_LARGE' and 'TOO_SMALL'" in str(refused.value)
    assert "DAMAGED" not in str(refused.value)
    assert RequestShelf.told == []
    assert batches(back_office) == []


@pytest.mark.defect("G4")
def test_a_channel_that_is_not_active_is_said(requests: RequestSteps, back_office: BackOffice) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    back_office.patch("/admin/channels/1", json={"is_active": False}).raise_for_status()

    with pytest.raises(ConfigurationError, match="channel 1 is not active"):
        requests.run()


# what the channel answers ---------------------------------------------------------------------------------------------


@pytest.mark.defect("P4")
def test_an_answer_counts_by_its_status(requests: RequestSteps, back_office: BackOffice) -> None:
    bad, good = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    reject(back_office, bad)
    reject(back_office, good)
    answer(R1={"status": "FAIL", "message": "too late, write to ayse@example.com"})

    table = requests.run()

    assert (table["succeeded"], table["failed"], table["reasons"]) == (1, 1, {"remote": 1})
    assert failed_as(back_office) == {bad: "remote", good: None}
    assert reports(back_office) == ["R1: remote: too late, write to …"]
    assert due(back_office) == {bad}
    assert requests.verdict() is None


def test_what_failed_passes_in_a_later_run(requests: RequestSteps, back_office: BackOffice) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    answer(R1={"status": "FAIL"})
    requests.run()
    answer()

    table = requests.run()

    assert table["succeeded"] == 1
    assert due(back_office) == set()


@pytest.mark.defect("P5", "B1")
@pytest.mark.parametrize(
    "error",
    [
        RetriableError("the channel sleeps", retry_after=3600),
        ContractError("the channel babbles"),
        RuntimeError("of ayse@example.com"),
        ValueError("of ayse@example.com"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_of_the_connector_fails_its_own_request_alone(
    requests: RequestSteps, back_office: BackOffice, error: Exception
) -> None:
    bad, good = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    reject(back_office, bad)
    reject(back_office, good)
    answer(R1=error)

    table = requests.run()

    assert (table["succeeded"], table["failed"], table["reasons"]) == (1, 1, {"channel_app": 1})
    assert failed_as(back_office) == {bad: "channel_app", good: None}
    assert batches(back_office) == ["done"]
    assert due(back_office) == {bad}
    assert "1 of 2 could not be sent, or got no answer" in (requests.verdict() or "")
    assert "ayse" not in "".join(reports(back_office))


def test_a_wrong_setting_is_said_when_the_others_are_told(requests: RequestSteps, back_office: BackOffice) -> None:
    bad, good = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    reject(back_office, bad)
    reject(back_office, good)
    answer(R1=ConfigurationError("settings.location_id is wrong"))
    ready = asyncio.run(requests.ready("run"))

    with pytest.raises(ConfigurationError, match=r"settings\.location_id"):
        asyncio.run(requests.send(ready, "run"))

    assert failed_as(back_office) == {bad: "channel_app", good: None}
    assert batches(back_office) == ["done"]
    answer()
    table = asyncio.run(requests.settle(asyncio.run(requests.send(ready, "run")), "run"))  # corrected, and cleared
    assert told() == [[("R1", "rejected")], [("R2", "rejected")], [("R1", "rejected")]]
    assert (table["succeeded"], table["left_out"]) == (1, 1)


def test_a_setting_that_keeps_the_channel_from_saying_what_belongs_together_is_said(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    def together(remote_id: str) -> list[str]:
        raise ConfigurationError("settings.token is wrong")

    reject(back_office, ask(back_office, "1-1/1", "R1"))
    RequestShelf.together = staticmethod(together)

    with pytest.raises(ConfigurationError, match=r"settings\.token"):
        requests.run()

    assert batches(back_office) == ["done"]


@pytest.mark.defect("P4")
@pytest.mark.parametrize(
    "said", [[], [{"status": "SUCCESS"}], [{"status": "SUCCESS", "remote_id": "R7"}], None, [{"status": "PERHAPS"}]]
)
def test_without_an_answer_to_it_a_request_has_failed(
    requests: RequestSteps, back_office: BackOffice, said: Any
) -> None:
    pk = ask(back_office, "1-1/1", "R1")
    reject(back_office, pk)
    RequestShelf.answer = staticmethod(lambda told: said)

    requests.run()

    assert failed_as(back_office) == {pk: "channel_app"}
    assert due(back_office) == {pk}
    assert requests.verdict() is not None


def test_where_all_failed_the_batch_request_ends_all_the_same(requests: RequestSteps, back_office: BackOffice) -> None:
    pks = {ask(back_office, f"1-1/{unit}", f"R{unit}") for unit in (1, 2)}
    for pk in pks:
        reject(back_office, pk)
    answer(R1={"status": "FAIL"}, R2=RuntimeError())

    requests.run()

    assert batches(back_office) == ["done"]
    assert due(back_office) == pks
    assert requests.steps.batches.all() == []


def test_outcomes_name_every_request_that_was_due(requests: RequestSteps, back_office: BackOffice) -> None:
    for unit in (1, 2, 3):
        reject(back_office, ask(back_office, f"1-1/{unit}", f"R{unit}"))
    answer(R2={"status": "FAIL"}, R3=RuntimeError())

    requests.run()

    assert {key: sent.state for key, sent in requests.sents().items()} == {
        "R1": State.SUCCEEDED,
        "R2": State.FAILED,
        "R3": State.FAILED,
    }
