"""Flow 7: what the merchant, Omnitron and other batch requests do while a run is under way."""

import asyncio
from typing import Any

import pytest

from order_integration.errors import ContractError, LockedError, RetriableError
from order_integration.omnitron.batch_requests import LOOKS
from tests.conftest import BackOffice
from tests.flows.request_steps import API, RequestSteps, answer, ask, batches, decide, due, reject, reports, start, told
from tests.flows.state import no_batch_is_open
from tests.flows.steps import Steps
from tests.shelf_requests import RequestShelf, fine


@pytest.fixture
def requests(steps: Steps, back_office: BackOffice, shelf: Any) -> RequestSteps:
    return start(steps, back_office)


def test_what_changed_since_it_was_read_is_left_out_and_offered_again(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    moving, still = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    decide(back_office, moving, "approved")
    decide(back_office, still, "approved")
    moves = iter(["confirmed"])

    def move(method: str, path: str) -> None:
        """Between reading and the commit."""
        if method == "PATCH" and "batch_requests" in path:
            for status in moves:
                decide(back_office, moving, status)

    requests.steps.before = move
    table = requests.run()

    assert told() == [[("R2", "approved")]]
    assert (table["succeeded"], table["left_out"]) == (1, 1)
    assert due(back_office) == {moving}
    requests.run()
    assert told()[1:] == [[("R1", "confirmed")]]
    assert due(back_office) == set()


def test_a_run_that_is_cleared_tells_only_what_the_channel_does_not_know(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    refused, known = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    reject(back_office, refused)
    reject(back_office, known)
    answer(R1={"status": "FAIL"})
    ready = asyncio.run(requests.ready("run"))

    for told_before in (0, 2, 3):
        assert len(told()) == told_before
        sent = asyncio.run(requests.send(ready, "run"))
        table = asyncio.run(requests.settle(sent, "run"))
        answer()

    assert sorted(told()) == [[("R1", "rejected")], [("R1", "rejected")], [("R2", "rejected")]]
    assert (table["due"], table["left_out"]) == (2, 2)
    assert batches(back_office) == ["done", "done"]


@pytest.mark.parametrize("others", [0, 1])
def test_what_omnitron_refuses_to_commit_is_not_told_and_fails_alone(
    requests: RequestSteps, back_office: BackOffice, others: int
) -> None:
    refused, *taken = [ask(back_office, f"1-1/{unit}", f"R{unit}") for unit in range(1, 2 + others)]
    for pk in (refused, *taken):
        reject(back_office, pk)
    commits = 2 if others else 1  # that of all, and that of it alone
    back_office.fault(
        "PATCH", "/batch_requests/", "status", status=400, body={"objects": ["no"]}, times=commits * LOOKS
    )

    table = requests.run()

    assert told() == [[("R2", "rejected")]] * others
    assert (table["succeeded"], table["failed"]) == (others, 1)
    assert reports(back_office) == ["R1: channel_app: Omnitron refuses to commit it"]
    assert due(back_office) == {refused}
    assert "1 of" in (requests.verdict() or "")
    assert no_batch_is_open(back_office)


def test_a_change_after_the_channel_was_told_stays_due(requests: RequestSteps, back_office: BackOffice) -> None:
    pk = ask(back_office, "1-1/1", "R1")
    decide(back_office, pk, "approved")

    def said(told: Any) -> Any:
        decide(back_office, pk, "confirmed")
        return fine(told)

    RequestShelf.answer = staticmethod(said)
    requests.run()

    assert due(back_office) == {pk}


@pytest.mark.defect("B1")
def test_somebody_else_s_batch_request_is_waited_for_and_ours_ends(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    pk = ask(back_office, "1-1/1", "R1")
    reject(back_office, pk)
    lock = back_office.post("/admin/lock", json={"channel": 1, "content_type": "cancellationrequest"}).json()["pk"]

    with pytest.raises(LockedError):
        requests.run()

    assert RequestShelf.told == []
    assert [row["pk"] for row in back_office.rows("batch_requests") if row["status"] in {"commit", "initialized"}] == [
        lock
    ]
    back_office.delete(f"/admin/lock/{lock}").raise_for_status()
    assert requests.run()["succeeded"] == 1


@pytest.mark.defect("B1")
@pytest.mark.parametrize(
    ("method", "path", "skip"),
    [
        ("POST", "/batch_requests/$", 0),
        ("PATCH", "/batch_requests/", 0),
        ("GET", "/cancellation_requests/$", 0),
        ("PATCH", "/batch_requests/", 1),
    ],
    ids=["create", "commit", "read again", "done"],
)
@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
def test_a_lost_answer_of_omnitron_does_no_harm(
    requests: RequestSteps, back_office: BackOffice, method: str, path: str, skip: int, kind: str
) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    back_office.fault(method, path, kind, skip=skip)

    table = requests.run()

    assert table["succeeded"] == 1
    assert len(RequestShelf.told) == 1
    assert no_batch_is_open(back_office)
    assert due(back_office) == set()


@pytest.mark.defect("B1")
def test_omnitron_that_goes_away_after_the_channel_was_told_leaves_nothing_open_for_the_next_run(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    pk = ask(back_office, "1-1/1", "R1")
    reject(back_office, pk)
    back_office.fault("PATCH", "/batch_requests/", "status", status=503, skip=1, times=100)
    with pytest.raises(RetriableError):
        requests.run()
    back_office.delete("/admin/faults")

    table = requests.run("another")

    assert (table["due"], len(RequestShelf.told)) == (0, 1)  # the open batch request held it
    assert requests.run()["succeeded"] == 1
    assert told() == [[("R1", "rejected")]] * 2
    assert no_batch_is_open(back_office)


@pytest.mark.defect("B12")
def test_a_batch_request_that_somebody_ended_meanwhile_is_said_and_its_requests_are_offered_again(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    pk = ask(back_office, "1-1/1", "R1")
    reject(back_office, pk)

    def said(told: Any) -> Any:
        batch = back_office.rows("batch_requests", content_type="cancellationrequest")[-1]["pk"]
        back_office.post(f"/admin/batch_requests/{batch}/fail").raise_for_status()
        return fine(told)

    RequestShelf.answer = staticmethod(said)

    with pytest.raises(ContractError, match="a batch request is fail, not done"):
        requests.run()

    assert due(back_office) == {pk}


def test_while_a_channel_works_on_a_job_of_requests_everything_stays_due(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    """None of ours; another client may have such a job."""
    pk = ask(back_office, "1-1/1", "R1")
    reject(back_office, pk)
    batch = back_office.post(f"{API}/batch_requests/", json={"channel": 1}).json()["pk"]
    for status in ("commit", "sent_to_remote"):
        body = {"status": status, "content_type": "cancellationrequest", "objects": []}
        back_office.patch(f"{API}/batch_requests/{batch}/", json=body).raise_for_status()

    table = requests.run()

    assert (table["waiting"], told(), requests.verdict()) == (1, [], None)
    assert due(back_office) == {pk}
    back_office.patch(f"{API}/batch_requests/{batch}/", json={"status": "done"}).raise_for_status()
    assert requests.run()["succeeded"] == 1
    assert no_batch_is_open(back_office)
