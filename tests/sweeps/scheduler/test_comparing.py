"""What the scheduler's sweep compares shows what was left behind."""

from contextlib import ExitStack
from pathlib import Path

from sandbox.run.state import Secrets
from tests.sweeps import state
from tests.sweeps.scheduler.comparing import state_of
from tests.sweeps.scheduler.stand import standing


def test_two_channels_are_alike_until_something_is_left_at_one(tmp_path: Path) -> None:
    secrets, staging = Secrets(), tmp_path / "staging"
    with ExitStack() as undo:
        left, right = (undo.enter_context(standing(tmp_path, name, secrets, doors=False)) for name in ("left", "right"))
        wanted = state_of(left, secrets, staging)
        assert state.differences(wanted, state_of(right, secrets, staging)) == []

        right.omnitron.http.post("/admin/lock", json={"channel": 1, "content_type": "order"}).raise_for_status()
        note = staging / "batches" / "right" / "fetch_orders" / "1.json"
        note.parent.mkdir(parents=True)
        note.write_text("{}")

        found = state.differences(wanted, state_of(right, secrets, staging))
        assert [sentence.split(":")[0] for sentence in found] == ["open batch requests", "notes"]
        assert state.differences(wanted, state_of(left, secrets, staging)) == []
