"""The package as a whole: it can be imported as it is, and its data classes share nothing."""

import dataclasses
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import get_args

import pytest

import order_integration
from order_integration import dto
from order_integration.dto import Dto
from order_integration.errors import IntegrationError

PLUGINS = Path(__file__).parents[1] / "plugins"
SCRIPTS = {"order_integration.conformance.__main__"}
LISTED = sorted(
    found.name for found in walk_packages(order_integration.__path__, "order_integration.") if found.name not in SCRIPTS
)
OURS = ("dto", "channels", "omnitron", "flows", "staging", "transport", "errors", "exact_json")
CORE = [name for name in LISTED if name.split(".")[1] in OURS]
DTOS = [found for name in dto.__all__ if isinstance(found := getattr(dto, name), type) and issubclass(found, Dto)]


@pytest.mark.defect("D1", "D2")
def test_every_module_of_the_core_is_imported_without_any_setting(tmp_path: Path) -> None:
    program = f"from importlib import import_module\nfor name in {CORE!r}: import_module(name)\n"
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PLUGINS), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-c", program]

    run = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=120, check=False)

    assert len(CORE) > 30
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.defect("B17")
@pytest.mark.parametrize("kind", DTOS, ids=lambda kind: kind.__name__)
def test_a_dto_shares_no_default_and_takes_ids_of_the_channel_as_texts(kind: type[Dto]) -> None:
    for name, field in kind.model_fields.items():
        assert not isinstance(field.default, list | dict), name
        if name == "remote_id":
            assert not {int, float} & {field.annotation, *get_args(field.annotation)}, name


@pytest.mark.defect("B17")
@pytest.mark.parametrize("name", [name for name in CORE if name.split(".")[1] in {"omnitron", "flows", "channels"}])
def test_a_data_class_shares_no_default(name: str) -> None:
    for found in vars(import_module(name)).values():
        if isinstance(found, type) and dataclasses.is_dataclass(found):
            assert not [one.name for one in dataclasses.fields(found) if isinstance(one.default, list | dict)]


@pytest.mark.defect("D4")
def test_an_error_says_its_sentence_and_ids_however_it_was_made() -> None:
    assert str(IntegrationError(sentence="no such order", order=7)) == "no such order (order=7)"
