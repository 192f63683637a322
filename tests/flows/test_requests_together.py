"""Flow 7: requests that the channel answers in one go are told together, each as it is now."""

import threading
import time
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.flows.request_steps import RequestSteps, ask, decide, due, failed_as, reject, start, told
from tests.flows.steps import Steps
from tests.shelf_requests import RequestShelf, fine


@pytest.fixture
def requests(steps: Steps, back_office: BackOffice, shelf: Any) -> RequestSteps:
    """A return has lines: R1:a, R1:b, …"""
    started = start(steps, back_office)
    lines = {"R1": ["R1:a", "R1:b", "R1:c"], "R2": ["R2:a"]}
    RequestShelf.together = staticmethod(lambda remote_id: lines[remote_id.partition(":")[0]])
    return started


@pytest.fixture
def lines(requests: RequestSteps, back_office: BackOffice) -> list[int]:
    """R1's three lines; the channel was told of their waiting."""
    return [ask(back_office, f"1-1/{unit}", f"R1:{line}") for unit, line in ((1, "a"), (2, "b"), (3, "c"))]


def test_a_group_is_called_once_however_many_of_it_are_due(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    other = ask(back_office, "2-1/1", "R2:a")
    for pk in (*lines, other):
        reject(back_office, pk)

    table = requests.run()

    assert sorted(told()) == [
        [("R1:a", "rejected"), ("R1:b", "rejected"), ("R1:c", "rejected")],
        [("R2:a", "rejected")],
    ]
    assert (table["due"], table["succeeded"]) == (4, 4)
    assert due(back_office) == set()


def test_groups_are_told_one_after_the_other(requests: RequestSteps, back_office: BackOffice, lines: list[int]) -> None:
    """Two returns of one order: Medusa has one change of an order at a time, and one amount that is owed."""
    for pk in (*lines, ask(back_office, "2-1/1", "R2:a")):
        reject(back_office, pk)
    inside = threading.Lock()

    def said(told: Any) -> Any:
        assert inside.acquire(blocking=False), "another group is being told"
        time.sleep(0.1)  # long enough to meet
        inside.release()
        return fine(told)

    RequestShelf.answer = staticmethod(said)

    assert requests.run()["succeeded"] == 4


def test_those_that_are_not_due_are_told_as_they_are_now_and_are_no_objects_of_the_batch_request(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    decide(back_office, lines[0])
    requests.run()
    decide(back_office, lines[1], "approved")

    table = requests.run()

    assert told() == [
        [("R1:a", "completed"), ("R1:b", "waiting_approval"), ("R1:c", "waiting_approval")],
        [("R1:a", "completed"), ("R1:b", "approved"), ("R1:c", "waiting_approval")],
    ]
    assert [one.order_item for one in RequestShelf.told[1]] == ["1-1/1", "1-1/2", "1-1/3"]
    assert (table["due"], table["succeeded"]) == (1, 1)
    assert failed_as(back_office) == {lines[1]: None}


def test_one_of_a_group_that_changed_since_it_was_read_is_told_as_it_is_now_and_offered_again(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    for pk in lines[:2]:
        decide(back_office, pk, "approved")
    moves = iter(["confirmed"])

    def move(method: str, path: str) -> None:
        if method == "PATCH" and "batch_requests" in path:
            for status in moves:
                decide(back_office, lines[1], status)

    requests.steps.before = move
    table = requests.run()

    assert told() == [[("R1:a", "approved"), ("R1:b", "confirmed"), ("R1:c", "waiting_approval")]]
    assert (table["succeeded"], table["left_out"]) == (1, 1)
    assert due(back_office) == {lines[1]}


def test_an_answer_is_about_its_own_line(requests: RequestSteps, back_office: BackOffice, lines: list[int]) -> None:
    for pk in lines[:2]:
        reject(back_office, pk)
    RequestShelf.answer = staticmethod(
        lambda told: [{**row, "status": "FAIL" if row["remote_id"] == "R1:b" else "SUCCESS"} for row in fine(told)]
    )

    requests.run()

    assert failed_as(back_office) == {lines[0]: None, lines[1]: "remote"}
    assert due(back_office) == {lines[1]}


@pytest.mark.parametrize("verdicts", [("SUCCESS", "SUCCESS"), ("SUCCESS", "FAIL"), ("FAIL", "SUCCESS")])
def test_units_that_share_a_remote_id_are_told_together_and_succeed_together(
    requests: RequestSteps, back_office: BackOffice, verdicts: tuple[str, str]
) -> None:
    pks = [ask(back_office, f"1-1/{unit}", "R2:a") for unit in (1, 2)]
    reject(back_office, pks[0])  # the other one is not due
    RequestShelf.answer = staticmethod(lambda told: [{"status": one, "remote_id": "R2:a"} for one in verdicts])

    requests.run()

    [call] = RequestShelf.told
    assert [(one.order_item, one.status) for one in call] == [("1-1/1", "rejected"), ("1-1/2", "waiting_approval")]
    assert failed_as(back_office) == {pks[0]: "remote" if "FAIL" in verdicts else None}


@pytest.mark.defect("P2", "P3")
def test_half_a_group_is_not_told_as_if_it_were_whole(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    back_office.told(cancellation_reasons=[{"id": 3, "subject": "Geç"}])
    stray = ask(back_office, "2-1/1", "R1:b", reason=3)  # not due
    alone = ask(back_office, "2-1/2", "R2:a")
    reject(back_office, lines[0])
    reject(back_office, alone)

    requests.run()

    assert told() == [[("R2:a", "rejected")]]
    assert failed_as(back_office) == {lines[0]: "mapping", alone: None}
    assert requests.sents()["R1:a"].message == (
        "R1:b is answered together with it: cancellation reason 3 is not in reason_mapping"
    )
    assert stray not in failed_as(back_office)


def test_a_channel_that_can_t_say_what_belongs_together_fails_that_request_alone(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    """Nobody knows then whether it may be told alone."""

    def together(remote_id: str) -> list[str]:
        if remote_id == "R1:a":
            raise RuntimeError("who knows")
        return [remote_id]

    RequestShelf.together = staticmethod(together)
    for pk in lines:
        reject(back_office, pk)

    requests.run()

    assert sorted(told()) == [[("R1:b", "rejected")], [("R1:c", "rejected")]]
    assert failed_as(back_office) == {lines[0]: "channel_app", lines[1]: None, lines[2]: None}
    assert requests.verdict() is not None


def test_a_group_is_called_though_only_some_of_it_could_say_what_belongs_together(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    def together(remote_id: str) -> list[str]:
        if remote_id == "R1:a":
            raise RuntimeError("who knows")
        return ["R1:a", "R1:b"]

    RequestShelf.together = staticmethod(together)
    for pk in lines[:2]:
        reject(back_office, pk)

    table = requests.run()

    assert told() == [[("R1:a", "rejected"), ("R1:b", "rejected")]]
    assert table["succeeded"] == 2


def test_an_exception_over_a_group_fails_all_of_it_and_no_other(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    alone = ask(back_office, "2-1/1", "R2:a")
    for pk in (*lines[:2], alone):
        reject(back_office, pk)

    def said(told: Any) -> Any:
        if len(told) > 1:
            raise RuntimeError
        return fine(told)

    RequestShelf.answer = staticmethod(said)
    requests.run()

    assert failed_as(back_office) == {lines[0]: "channel_app", lines[1]: "channel_app", alone: None}
    assert due(back_office) == set(lines[:2])


@pytest.mark.parametrize("said", [[], ["R2:b"], ["R2:a", "R2:a"], ("R2:a",)], ids=str)
def test_a_request_belongs_to_its_own_group_whatever_the_channel_says(
    requests: RequestSteps, back_office: BackOffice, said: Any
) -> None:
    RequestShelf.together = staticmethod(lambda _: said)
    reject(back_office, ask(back_office, "2-1/1", "R2:a"))

    table = requests.run()

    assert told() == [[("R2:a", "rejected")]]
    assert table["succeeded"] == 1


def test_groups_that_overlap_tell_nobody_twice(
    requests: RequestSteps, back_office: BackOffice, lines: list[int]
) -> None:
    said = {"R1:a": ["R1:a", "R1:b"], "R1:b": ["R1:b"], "R1:c": ["R1:b", "R1:c"]}
    RequestShelf.together = staticmethod(lambda remote_id: said[remote_id])
    for pk in lines:
        reject(back_office, pk)

    table = requests.run()

    assert sorted(told()) == [[("R1:a", "rejected"), ("R1:b", "rejected")], [("R1:c", "rejected")]]
    assert (table["due"], table["succeeded"]) == (3, 3)
