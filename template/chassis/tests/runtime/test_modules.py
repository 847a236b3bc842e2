"""Modules are found by being there, and what does not fit is said at the start."""

import pkgutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import chassis
from chassis.data.migration import migrate
from chassis.events import nats
from chassis.http._application import RouteInvalid
from chassis.identity.api_keys import api_keys
from chassis.identity.oidc import oidc
from chassis.jobs import cron
from chassis.ops import TelemetrySettings
from chassis.runtime import Module, ModuleError, Service, handlers_of, load_module, schedules_of, subscriptions_of
from chassis.runtime._modules import check, discover
from chassis.settings import ApiSecrets, EdgeSettings, HttpClientSettings, Settings

from tests.sample.modules.notes import api, handlers, settings
from tests.sample.modules.notes.messages import Explode, Recount, Tidy

NOTES = "tests.sample.modules.notes"

ROOMS = sorted(info.name for info in pkgutil.iter_modules(chassis.__path__))
SETTINGS = """
from chassis.settings import EnvironmentSettings
class Settings(EnvironmentSettings):
    {name}: int = 1
"""
FILES = {
    "api": """
from chassis.http import Public, Router
router = Router("/v1/{name}", tags=["{name}"])
@router.get("")
async def list_all(_caller: Public) -> str: ...
@router.get("/{{job_id}}")
async def get(_caller: Public, job_id: str) -> str: ...
""",
    "messages": """
from chassis.jobs import TrackedTask
class Run(TrackedTask): pass
""",
    "handlers": """
from chassis.jobs import handle
from found.{name}.messages import Run
async def run(task, transaction): ...
HANDLERS = [handle(Run, run)]
""",
}
REVISION = """
from alembic import op
revision = "{name}_0001"
down_revision = None
branch_labels = ("{name}",)
depends_on = None
def upgrade(): op.execute("CREATE TABLE {name} (id integer)")
def downgrade(): op.execute("DROP TABLE {name}")
"""

type MakeModule = Callable[..., None]


@pytest.fixture
def make_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeModule:
    """Write a module of the package `found`, which can be imported for the length of the test."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "found"]:
        monkeypatch.delitem(sys.modules, name)

    def make(name: str, **files: str) -> None:
        package = tmp_path / "found" / name
        package.mkdir(parents=True)
        for file, text in {"__init__": '"""A module."""', **files}.items():
            (package / f"{file}.py").write_text(text)

    return make


@pytest.fixture
def notes() -> Module:
    return load_module(NOTES)


def test_a_module_offers_what_its_files_are_named_for(notes: Module) -> None:
    assert notes.name == "notes"
    assert notes.package == NOTES
    assert notes.router is api.router
    assert list(notes.handlers) == handlers.HANDLERS
    assert notes.tasks == (Explode, Recount, Tidy)
    assert list(notes.schedules) == handlers.SCHEDULES
    assert notes.settings is settings.Settings
    assert notes.migrations == Path(str(settings.__file__)).parent / "migrations"


def test_a_module_may_offer_nothing(make_module: MakeModule) -> None:
    make_module("empty")
    assert load_module("found.empty") == Module("empty", "found.empty", None, (), (), (), (), None, None)


def test_packages_are_found_in_the_order_of_their_names(make_module: MakeModule) -> None:
    for name in ("walnut", "almond"):
        make_module(name)
    assert [module.name for module in discover("found")] == ["almond", "walnut"]


def test_a_service_has_the_modules_of_its_package_or_only_those_it_names(
    service: Service, make_module: MakeModule
) -> None:
    assert [module.name for module in service.modules] == ["notes"]
    for name in ("walnut", "almond"):
        make_module(name)
    only = replace(service, only=["found.walnut", NOTES])
    assert [module.name for module in only.modules] == ["walnut", "notes"]


def test_a_service_has_the_migrations_of_its_rooms_its_authentication_and_its_modules(service: Service) -> None:
    assert list(service.migrations) == ["chassis_jobs", "chassis_http", "chassis_events", "notes"]
    keys = replace(service, auth=api_keys, events=None)
    assert list(keys.migrations) == ["chassis_jobs", "chassis_http", "chassis_api_keys", "notes"]
    assert all([*path.glob("*_0001_*.py")] for path in keys.migrations.values())


def test_a_service_has_the_settings_of_its_rooms_its_authentication_its_events_and_its_modules(
    service: Service,
) -> None:
    own = [Settings, ApiSecrets, EdgeSettings, HttpClientSettings, TelemetrySettings]
    assert service.settings == [*own, *oidc.settings, *nats.settings, settings.Settings]
    assert replace(service, auth=None, events=None).settings == [*own, settings.Settings]


def test_the_package_of_a_service_has_its_name_with_underscores() -> None:
    service = Service("order-desk", title="", description="")
    assert service.import_name == "order_desk"
    assert service.version == "0"
    assert replace(service, name="copier-backend-chassis").version != "0"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("api", "routes = []", "must offer `router`, of type Router"),
        ("handlers", "HANDLERS = ()", "must offer `HANDLERS`, of type list"),
        ("handlers", "HANDLERS = [print]", "each of HANDLERS must be"),
        ("handlers", "HANDLERS = []\nSCHEDULES = ()", "must offer `SCHEDULES`, of type list"),
        ("handlers", "HANDLERS = []\nSCHEDULES = [print]", "each of SCHEDULES must be"),
        ("handlers", "SUBSCRIPTIONS = [print]", "each of SUBSCRIPTIONS must be"),
        ("handlers", "HANDLER = []", "must offer one of HANDLERS, SCHEDULES, SUBSCRIPTIONS, of type list"),
        ("settings", "settings = 1", "must offer `Settings`, of type type"),
        ("settings", "class Settings: pass", "must derive from EnvironmentSettings"),
    ],
)
def test_a_file_that_lacks_its_offer_is_refused(make_module: MakeModule, file: str, text: str, message: str) -> None:
    make_module("broken", **{file: text})
    with pytest.raises(ModuleError, match=rf"found\.broken\.{file}.* {message}|found\.broken\.{file}: {message}"):
        load_module("found.broken")


def test_a_subscription_of_a_service_without_events_is_refused(service: Service, make_module: MakeModule) -> None:
    make_module(
        "paid",
        handlers="from chassis.events import ExternalEvent, subscribe\n"
        "async def record(event, transaction): ...\n"
        "SUBSCRIPTIONS = [subscribe('billing.invoices.paid.v1', ExternalEvent, record)]",
    )
    subscribing = replace(service, only=["found.paid"])
    assert [each.event_type for each in subscriptions_of(subscribing.modules)] == ["billing.invoices.paid.v1"]
    assert len(handlers_of(subscribing.modules)) == 1
    with pytest.raises(ModuleError, match="subscribes to events: set `events` of the service"):
        _ = replace(subscribing, events=None).modules


def test_a_module_that_is_named_like_the_chassis_is_refused(notes: Module) -> None:
    with pytest.raises(ModuleError, match="the module chassis_notes has a name of the chassis"):
        check([replace(notes, name="chassis_notes")])


def test_two_handlers_of_one_name_are_refused(notes: Module) -> None:
    with pytest.raises(ModuleError, match=r"two handlers are called notes\.count"):
        check([notes, replace(notes, name="others")])


def test_two_modules_of_one_name_are_refused(notes: Module) -> None:
    with pytest.raises(ModuleError, match="two modules are called notes: rename one of the packages"):
        check([notes, replace(notes, handlers=())])


@pytest.mark.parametrize(
    ("name", "module"), [("api_port", "chassis.settings.Settings"), ("notes_longest", f"{NOTES}.settings.Settings")]
)
def test_a_setting_that_is_anothers_is_refused(
    service: Service, make_module: MakeModule, name: str, module: str
) -> None:
    make_module("walnut", settings=SETTINGS.format(name=name))
    with pytest.raises(ModuleError, match=f"{module} and found.walnut.settings.Settings both have {name.upper()}"):
        _ = replace(service, only=[NOTES, "found.walnut"]).modules


@pytest.mark.parametrize("name", sorted({*ROOMS} - {"jobs"}))
async def test_a_module_may_have_the_name_of_a_room(
    service: Service, empty: Settings, make_module: MakeModule, tmp_path: Path, name: str
) -> None:
    """Beside the chassis's own, and the route of its tracked jobs."""
    files = {file: text.format(name=name) for file, text in FILES.items()}
    make_module(name, settings=SETTINGS.format(name=f"{name}_limit"), **files)
    migrations = tmp_path / "found" / name / "migrations"
    migrations.mkdir()
    (migrations / f"{name}_0001_begin.py").write_text(REVISION.format(name=name))
    named = replace(service, only=[NOTES, f"found.{name}"])
    document = named.create_api().openapi()
    assert {f"/v1/{name}", f"/v1/{name}/{{job_id}}"} < set(document["paths"])
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(operations) == len(set(operations))
    await migrate(empty, named.migrations)
    await migrate(empty, named.migrations, downgrade=f"{name}@base")


def test_a_module_called_jobs_may_not_have_the_route_of_tracked_jobs(service: Service, make_module: MakeModule) -> None:
    """Its path is public API of every service with a tracked job, and stays."""
    make_module("jobs", **{file: text.format(name="jobs") for file, text in FILES.items()})
    both = r"found\.jobs\.api\.get and chassis\.http\._tracked_jobs\.get both have GET /v1/jobs/\{job_id\}"
    with pytest.raises(RouteInvalid, match=both):
        replace(service, only=[NOTES, "found.jobs"]).create_api()


def test_a_task_without_a_handler_is_refused(notes: Module) -> None:
    left = tuple(handler for handler in handlers_of([notes]) if handler.message is not Explode)
    with pytest.raises(ModuleError, match=r"notes\.Explode has 0 handlers: a task has one"):
        check([replace(notes, handlers=left)])


def test_a_schedule_whose_task_needs_a_value_is_refused(notes: Module) -> None:
    scheduled = replace(notes, schedules=(cron("* * * * *", Explode),))
    assert schedules_of([scheduled]) == scheduled.schedules
    with pytest.raises(ModuleError, match=r"notes\.Explode is scheduled: give each of its fields a default"):
        check([scheduled])
