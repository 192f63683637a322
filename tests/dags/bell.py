"""Notifiers for tests: a bell that writes down what it rings for, and one that does not work."""

import json
from pathlib import Path
from typing import Any

from airflow.sdk import BaseNotifier


class Bell(BaseNotifier):
    """One line a ring."""

    template_fields = ("text",)

    def __init__(self, path: str, text: str = "{{ alarm.kind }}") -> None:
        super().__init__()
        self.path = path
        self.text = text

    def notify(self, context: Any) -> None:
        with Path(self.path).open("a") as file:
            file.write(json.dumps({**context["alarm"], "text": self.text}) + "\n")


class BrokenBell(Bell):
    """It leaves a trace, and fails."""

    def notify(self, context: Any) -> None:
        super().notify(context)
        raise RuntimeError("Ayşe Yılmaz did not pick up")


class NoBell:
    """Not a notifier."""


class HoarseBell(Bell):
    """It can't be made, and says more than anybody should hear."""

    def __init__(self, path: str) -> None:
        raise ValueError(f"no such secret: {path}")
