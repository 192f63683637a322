from pathlib import Path

import pytest

from tests.conftest import BackOffice
from tests.flows.steps import Steps


@pytest.fixture
def steps(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Steps:
    return Steps(omnitron_url, tmp_path)
