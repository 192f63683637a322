"""The documentation is true: what the code knows is in it, and what it links to is there."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from order_integration.channels.registry import ChannelConfig, ChannelLimits
from order_integration.errors import Reason
from order_integration.operators.metrics import Metric
from order_integration.staging import AlarmKind

ROOT = Path(__file__).parents[1]
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs/configuration.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
COMPOSE = (ROOT / "docker-compose.yaml").read_text("utf-8")

OURS = re.compile(r'"(ORDER_INTEGRATION_[A-Z_]+)"')
READ = re.compile(r'(?:environ(?:\.get)?|getenv)\s*[(\[]\s*"([A-Z_]+)"')
PORT = re.compile(r'"([A-Z_]+_PORT)"')
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
COMPOSED = re.compile(r"(?<!\$)\$\{([A-Z_]+)")


def sources(*folders: str) -> str:
    return "\n".join(path.read_text("utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py"))


def documents() -> list[Path]:
    """What git knows or would add: no node_modules, no environment."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    return [path for name in listed if (path := ROOT / name).exists()]


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_row_that_says_what_to_do(reason: Reason) -> None:
    assert re.search(rf"^\| `{reason}` \| .+ \| .+ \|$", OPERATIONS, flags=re.MULTILINE)


def test_no_reason_is_explained_that_does_not_exist() -> None:
    table = OPERATIONS.partition("| reason |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == set(Reason)


@pytest.mark.parametrize("kind", list(AlarmKind))
def test_every_kind_of_alarm_has_a_row_that_says_what_to_do(kind: AlarmKind) -> None:
    assert re.search(rf"^\| `{kind}` \| .+ \| .+ \|$", OPERATIONS, flags=re.MULTILINE)


@pytest.mark.parametrize("name", [*ChannelConfig.model_fields, *ChannelLimits.model_fields])
def test_every_field_of_a_channel_is_documented(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| .+ \| .+ \| .+ \|$", CONFIGURATION, flags=re.MULTILINE)


@pytest.mark.parametrize("field", ["number_prefix", "carriers", "default_carrier", "sales_channels"])
def test_settings_of_the_built_in_connectors_are_documented(field: str) -> None:
    assert f"| `{field}` |" in CONFIGURATION


def test_every_environment_variable_of_the_package_is_documented() -> None:
    code = sources("plugins", "dags")
    named = {*OURS.findall(code), *READ.findall(code)}

    assert {"ORDER_INTEGRATION_CHANNELS", "ORDER_INTEGRATION_STAGING", "ORDER_INTEGRATION_STATE"} <= named
    assert sorted(name for name in named if f"`{name}`" not in OPERATIONS) == []


def test_every_port_of_the_main_job_is_documented() -> None:
    assert sorted(name for name in PORT.findall(sources("sandbox/run")) if f"`{name}`" not in CONTRIBUTING) == []


@pytest.mark.parametrize("metric", list(Metric))
def test_every_metric_is_documented(metric: Metric) -> None:
    assert f"| `{metric}` |" in OPERATIONS


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_resolves(document: Path) -> None:
    broken = []
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", document.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(target)

    assert broken == []


def test_the_env_example_holds_exactly_what_compose_reads() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")

    given = re.findall(r"^([A-Z_]+)=", example, flags=re.MULTILINE)

    assert len(given) == len(set(given))
    assert set(given) == set(COMPOSED.findall(COMPOSE))


def test_compose_refuses_to_start_without_a_secret_and_the_example_gives_none_away() -> None:
    required = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE))
    optional = set(re.findall(r"\$\{([A-Z_]+):-", COMPOSE))
    example = (ROOT / ".env.example").read_text("utf-8")

    assert required == set(re.findall(r"^([A-Z_]+)=$", example, flags=re.MULTILINE))
    assert not {name for name in optional if re.search("PASSWORD|SECRET|KEY|TOKEN", name)}


def test_compose_opens_nothing_to_the_network_and_gives_components_time_to_start() -> None:
    services = yaml.safe_load(COMPOSE)["services"]

    assert all(
        port.startswith("${AIRFLOW_BIND:-127.0.0.1}:") for one in services.values() for port in one.get("ports", [])
    )
    for name, service in services.items():
        if name != "init":
            assert int(service["healthcheck"]["start_period"].removesuffix("s")) >= 60, name
