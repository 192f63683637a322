"""The mapping of reasons: what a merchant may write, and what is said when it makes no sense."""

from pathlib import Path
from typing import Any

import pytest

from order_integration.errors import ConfigurationError
from order_integration.flows.reasons import ReasonMapping
from tests.conftest import BackOffice
from tests.flows.after_sales import REQUESTS, SIZE, arrive, steps_of
from tests.flows.steps import results
from tests.shelf import NewsShelf, order, request


@pytest.mark.parametrize("said", [{"late": 4, "broken": "7"}, '{"late": 4, "broken": "7"}'])
def test_a_mapping_is_an_object_or_its_text(said: Any) -> None:
    mapping = ReasonMapping.of({"reason_mapping": said})

    assert (mapping.to_omnitron("late"), mapping.to_omnitron("broken")) == (4, 7)
    assert (mapping.to_channel(4), mapping.to_channel(7)) == ("late", "broken")


@pytest.mark.defect("P1")
def test_codes_of_two_letters_are_codes_like_others() -> None:
    mapping = ReasonMapping.of({"reason_mapping": {"10": 4, "ab": 7}})

    assert (mapping.to_omnitron("10"), mapping.to_omnitron("ab")) == (4, 7)
    assert (mapping.to_channel(4), mapping.to_channel(7)) == ("10", "ab")


@pytest.mark.defect("C4", "K1", "P2")
@pytest.mark.parametrize("conf", [None, {}, {"reason_mapping": None}, {"reason_mapping": ""}, {"reason_mapping": {}}])
def test_what_is_not_mapped_is_nothing_and_never_guessed(conf: Any) -> None:
    mapping = ReasonMapping.of(conf)

    assert mapping.to_omnitron("late") is None
    assert mapping.to_channel(10) is None
    assert mapping.fallback is None


def test_the_fallback_is_given_apart() -> None:
    mapping = ReasonMapping.of({"cancellation_reason_id": "4"})

    assert mapping.fallback == 4
    assert mapping.to_omnitron("late") is None


@pytest.mark.parametrize("said", ["{late: 4}", "[1]", [1], 7, True, '"late"'])
def test_a_mapping_that_is_none_is_named(said: Any) -> None:
    with pytest.raises(ConfigurationError, match="reason_mapping"):
        ReasonMapping.of({"reason_mapping": said})


@pytest.mark.parametrize("pk", [None, True, "four", "", 4.5, [4], "-4", "٤"])
def test_a_code_without_a_number_is_named(pk: Any) -> None:
    with pytest.raises(ConfigurationError, match="reason_mapping, 'late'"):
        ReasonMapping.of({"reason_mapping": {"late": pk}})


@pytest.mark.parametrize("pk", [True, "four", [4], {}])
def test_a_fallback_that_is_no_number_is_named_to_who_asks_for_it(pk: Any) -> None:
    mapping = ReasonMapping.of({"cancellation_reason_id": pk})

    with pytest.raises(ConfigurationError, match="cancellation_reason_id"):
        _ = mapping.fallback


def test_a_fallback_that_is_no_number_is_in_nobody_s_way_who_needs_none(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path
) -> None:
    """Flow 6 guesses no reason: a merchant is asked for each."""
    NewsShelf.start_again()
    steps = steps_of(REQUESTS, omnitron_url, tmp_path)
    back_office.told(cancellation_reasons=[{"id": SIZE, "subject": "Beden", "cancellation_type": "refund"}])
    conf = {"reason_mapping": {"size": SIZE}, "cancellation_reason_id": "four"}
    back_office.patch("/admin/channels/1", json={"conf": conf}).raise_for_status()
    arrive(steps, order("1"))
    NewsShelf.requests[:] = [request("R", "1-1/1")]

    assert results(steps.run()) == {"created": 1}


def test_two_codes_for_one_reason_are_named_both_when_it_is_read_backwards() -> None:
    mapping = ReasonMapping.of({"reason_mapping": {"late": 4, "slow": 4, "broken": 7}})

    assert (mapping.to_omnitron("late"), mapping.to_omnitron("slow")) == (4, 4)
    assert mapping.to_channel(7) == "broken"
    for read in (lambda: mapping.to_channel(4), mapping.check_backwards):
        with pytest.raises(ConfigurationError, match="'late' and 'slow'"):
            read()
