"""The rooms of the chassis: what their doors export, how they may depend on each other, and how they are documented."""

import ast
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

import chassis
from chassis.errors import Error
from chassis.ops import metrics
from chassis.settings import EnvironmentSettings
from chassis.testing.conventions import MEANINGLESS, default_of

SOURCE = Path(chassis.__path__[0])
PROJECT = Path(__file__).parent.parent
CONTRACTS = PROJECT / ".importlinter"
# A change here is a change of the public API.
EXPORTED = {
    "chassis.data": [
        "CONNECTION_ERRORS",
        "Caller",
        "Connection",
        "Database",
        "NOT_READY_ERRORS",
        "Revisions",
        "TransactionConflict",
        "check_database",
        "check_listening",
        "check_migrations",
        "open_database",
        "reason_of",
        "revisions_in",
    ],
    "chassis.events": [
        "ExternalEvent",
        "IntegrationEvent",
        "announce",
        "attributes_of",
        "nats",
        "subject_of",
        "subscribe",
        "subscribe_without_transaction",
    ],
    "chassis.http": [
        "ACCEPTED",
        "Application",
        "Body",
        "CursorInvalid",
        "IDEMPOTENCY_KEYS",
        "IdempotencyKeyInvalid",
        "IdempotencyKeyRequired",
        "IdempotencyKeyReused",
        "IdempotentTransaction",
        "IfMatch",
        "IfNoneMatch",
        "IntegralFloat",
        "JobView",
        "Page",
        "PageRequest",
        "Problem",
        "Public",
        "Reading",
        "Responses",
        "RouteInvalid",
        "Router",
        "Streaming",
        "Text",
        "Writing",
        "accepted",
        "connect",
        "create_application",
        "deprecated",
        "open_limits",
        "raises",
        "requires",
        "sends",
        "serving",
        "tag_of",
        "tracked_jobs",
        "without_policy",
    ],
    "chassis.identity": ["Authenticate", "Authentication", "Principal", "allow_anonymous", "bearer", "refuse_everyone"],
    "chassis.identity.api_keys": ["api_keys"],
    "chassis.identity.oidc": ["oidc"],
    "chassis.jobs": [
        "Beside",
        "Delivery",
        "Event",
        "Handler",
        "Job",
        "JobNotFound",
        "JobStatus",
        "Message",
        "NewJob",
        "Outbox",
        "Payload",
        "Retention",
        "Schedule",
        "Snooze",
        "Subscription",
        "Task",
        "TrackedJob",
        "TrackedTask",
        "Transaction",
        "Transport",
        "Worker",
        "add_commands",
        "cron",
        "handle",
        "handle_tracked",
        "handle_without_transaction",
        "insert",
        "max_connections",
        "read_payload",
        "tracking",
    ],
    "chassis.ops": [
        "Check",
        "Commands",
        "Readiness",
        "TelemetrySettings",
        "build",
        "configure_logs",
        "create_operations",
        "entry_span",
        "error_tracking",
        "fail",
        "inject",
        "is_recorded",
        "job_id",
        "load_exporter",
        "measuring",
        "message_id",
        "metrics",
        "module_of",
        "principal",
        "recording",
        "redact",
        "request_id",
        "run",
        "span",
        "span_id",
        "stop_on_signals",
        "trace_id",
        "traceparent",
        "version_of",
    ],
    "chassis.outbound": ["CallFailed", "HttpClient", "TargetRefused", "closing_clients", "reason_of"],
    "chassis.runtime": [
        "Module",
        "ModuleError",
        "Service",
        "handlers_of",
        "load_module",
        "schedules_of",
        "subscriptions_of",
    ],
    "chassis.testing": [
        "Announced",
        "BUSY",
        "Backend",
        "Drain",
        "OK",
        "PlanOf",
        "Receive",
        "Remote",
        "Respond",
        "Running",
        "Start",
        "announced",
        "answers",
        "anyio_backend",
        "api",
        "client",
        "client_of",
        "credential",
        "database",
        "drain",
        "drain_queue",
        "empty",
        "environment_of",
        "execute",
        "free_ports",
        "outbox",
        "plan_of",
        "pytest_collection_modifyitems",
        "pytest_configure",
        "pytest_configure_node",
        "pytest_unconfigure",
        "receive",
        "remote",
        "server",
        "service",
        "settings",
        "start",
        "statements",
        "stranger",
        "worker_database",
    ],
}
# Each import is one that only its own contract forbids.
PLANTED = {
    "rooms": ("data/_database.py", "import chassis.jobs"),
    "cycles": ("jobs/_messages.py", "import chassis.jobs._outbox"),
    "extras": ("runtime/_api.py", "import chassis.events"),
    "alembic": ("runtime/_worker.py", "import chassis.data.migration"),
}


def contracts() -> dict[str, str]:
    """Read the name of each import contract by its key."""
    parser = ConfigParser()
    parser.read(CONTRACTS, encoding="utf-8")
    names = {section.rpartition(":")[2]: parser[section].get("name", "") for section in parser.sections()}
    return {key: name for key, name in names.items() if name}


def broken_contracts(source: Path) -> Sequence[str]:
    """Check the import contracts on a copy of the package and name those that are broken."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = os.environ | {"PYTHONPATH": str(source.parent), "COLUMNS": "200"}
    ended = subprocess.run(
        [*command, "--no-cache", "--config", str(CONTRACTS)],
        cwd=source.parent,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "Contracts: " in ended.stdout, ended.stdout + ended.stderr
    return re.findall(r"^(.+) BROKEN", ended.stdout, re.MULTILINE)


def imported(outside: Sequence[str] = ("chassis.dev", "chassis.testing")) -> None:
    """Import every module of the running processes, so that their classes are known."""
    for info in pkgutil.walk_packages(chassis.__path__, "chassis."):
        if not info.name.startswith((*outside, "chassis.data.migration.env")):
            importlib.import_module(info.name)


def subclasses[T](kind: type[T]) -> Iterator[type[T]]:
    """Find the classes of the chassis that derive from one, at any depth."""
    for each in kind.__subclasses__():
        if each.__module__.startswith("chassis."):
            yield each
        yield from subclasses(each)


def table_of(section: str) -> dict[str, Sequence[str]]:
    """Read a table of the reference: the other columns of each row by what its first has in backticks."""
    text = (PROJECT / "REFERENCE.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"REFERENCE.md has no section {section}"
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", found[1], re.MULTILINE)
    assert len(rows) == len(dict(rows)), f"REFERENCE.md has a row of {section} twice"
    return {name: rest.split(" | ") for name, rest in rows}


def logged_events() -> dict[str, set[str]]:
    """Find the event and the level of each log line of the running processes in their source."""
    events: dict[str, set[str]] = {}
    for file in SOURCE.rglob("*.py"):
        if file.relative_to(SOURCE).parts[0] in {"dev", "testing"}:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[event, *_]):
                    choices = [event.body, event.orelse] if isinstance(event, ast.IfExp) else [event]
                    for choice in choices:
                        assert isinstance(choice, ast.Constant), f"{file}: an event is a literal"
                        events.setdefault(str(choice.value), set()).add(level.replace("exception", "error"))
                case _:
                    pass
    return events


@pytest.mark.parametrize("door", EXPORTED)
def test_a_door_exports_the_public_names_only(door: str) -> None:
    module = importlib.import_module(door)
    assert sorted(module.__all__) == EXPORTED[door]
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_every_room_has_a_door_that_is_listed_here() -> None:
    packages = {info.name for info in pkgutil.walk_packages(chassis.__path__, "chassis.") if info.ispkg}
    assert packages - EXPORTED.keys() == {"chassis.data.migration", "chassis.dev", "chassis.testing.contract"}


def test_every_room_has_its_place_in_the_layers() -> None:
    parser = ConfigParser()
    parser.read(CONTRACTS, encoding="utf-8")
    layers = re.findall(r"[\w.]+", parser["importlinter:contract:rooms"]["layers"])
    assert sorted(layers) == sorted(info.name for info in pkgutil.iter_modules(chassis.__path__, "chassis."))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(SOURCE, tmp_path / "chassis", ignore=shutil.ignore_patterns("__pycache__"))


def test_the_import_contracts_hold(copy: Path) -> None:
    assert broken_contracts(copy) == []


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_import_breaks_its_contract(copy: Path, contract: str) -> None:
    file, statement = PLANTED[contract]
    with (copy / file).open("a", encoding="utf-8") as planted:
        planted.write(f"\n{statement}\n")
    assert broken_contracts(copy) == [contracts()[contract]]


def test_every_contract_has_a_planted_violation() -> None:
    assert contracts().keys() == PLANTED.keys()


def test_no_name_is_meaningless() -> None:
    rooms = [path for path in SOURCE.iterdir() if path.name not in {"dev", "testing"}]
    paths = [path for room in rooms for path in (room, *room.rglob("*"))]
    assert [path for path in paths if path.stem.strip("_") in MEANINGLESS] == []


def test_the_reference_has_every_problem_type() -> None:
    imported()
    errors: set[type[Error]] = {Error, *subclasses(Error)}
    types = {error.type.removeprefix("urn:problem-type:"): error for error in errors}
    assert len(types) == len(errors)
    documented = {name: columns[:2] for name, columns in table_of("Problem types").items()}
    assert documented == {name: [str(error.status), error.title] for name, error in types.items()}


def test_the_reference_has_every_metric() -> None:
    found: dict[str, Sequence[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            [family] = metric.describe()
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001  # nothing else tells
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = [family.type, labels]
    assert {name: columns[:2] for name, columns in table_of("Metrics").items()} == found


def test_metrics_are_defined_in_one_place() -> None:
    files = [path for path in SOURCE.rglob("*.py") if "prometheus_client" in path.read_text(encoding="utf-8")]
    found = {path.relative_to(SOURCE).as_posix() for path in files}
    assert found == {"dev/alerts.py", "ops/_metrics.py"}


def test_the_reference_has_every_log_event() -> None:
    documented = {name: {columns[0]} for name, columns in table_of("Log events").items()}
    assert documented == logged_events()


def test_the_reference_has_every_setting() -> None:
    imported()
    found: dict[str, Sequence[str]] = {}
    for kind in subclasses(EnvironmentSettings):
        for name, field in kind.model_fields.items():
            default = default_of(field)
            written = "required" if field.is_required() else f"`{default}`" if default else "empty"
            found[name.upper()] = [written, str(field.description)]
    assert table_of("Settings") == found
