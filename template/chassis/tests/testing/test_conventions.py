"""Each convention holds for the sample service and goes red when it is violated."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from chassis.data import Database
from chassis.dev import messages
from chassis.identity.oidc import oidc
from chassis.runtime import Service, handlers_of
from chassis.settings import Settings
from chassis.testing import conventions
from chassis.testing.conventions import (
    foreign_imports,
    statements_of,
    test_a_domain_imports_the_standard_library_and_errors_only,
    test_every_function_in_handlers_is_listed,
    test_every_route_has_a_policy,
    test_every_statement_prepares_on_the_migrated_schema,
    test_every_table_has_an_owner_and_no_foreign_key_crosses_owners,
    test_modules_have_the_same_file_names,
    test_no_name_is_meaningless,
    unlisted_handlers,
)

__all__ = [
    "test_a_domain_imports_the_standard_library_and_errors_only",
    "test_every_function_in_handlers_is_listed",
    "test_every_route_has_a_policy",
    "test_every_statement_prepares_on_the_migrated_schema",
    "test_every_table_has_an_owner_and_no_foreign_key_crosses_owners",
    "test_modules_have_the_same_file_names",
    "test_no_name_is_meaningless",
]

NOTES = "tests.sample.modules.notes"
ALPHA = "planted.modules.alpha"

type Plant = Callable[..., Service]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Make a service with a module `alpha` of these files, importable for the length of the test."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "planted"]:
        monkeypatch.delitem(sys.modules, name)
    folder = tmp_path / "planted" / "modules" / "alpha"
    folder.mkdir(parents=True)
    for package in (folder, *folder.parents[:2]):
        (package / "__init__.py").touch()

    def make(**files: str) -> Service:
        for name, text in files.items():
            (folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")
        return Service("planted", title="", description="", auth=oidc)

    return make


def test_a_module_that_keeps_the_conventions_passes(plant: Plant) -> None:
    service = plant(domain="import re\n\nfrom chassis.errors import NotFound", handlers="HANDLERS = []")
    test_every_route_has_a_policy(service)
    test_a_domain_imports_the_standard_library_and_errors_only(service)
    test_modules_have_the_same_file_names(service)
    test_no_name_is_meaningless(service)
    test_every_function_in_handlers_is_listed(service)


def test_a_route_without_a_policy_is_found(plant: Plant) -> None:
    api = """
        from chassis.http import Router

        router = Router("/v1/alpha", tags=["alpha"])

        @router.get("")
        async def read() -> str:
            return ""
    """
    service = plant(api=api)
    with pytest.raises(AssertionError, match="GET /v1/alpha"):
        test_every_route_has_a_policy(service)
    test_every_route_has_a_policy(replace(service, auth=None))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT id FROM missing", r"planted\.modules\.alpha\.persistence\.GET: relation .missing. does not exist"),
        ("SELECT missing FROM notes", r"GET: column .missing. does not exist"),
        ("SELECT id FROM notes WHERE id = $1 AND owner = $1", r"GET: "),
        ("SELECT * FROM notes", r"GET: name the columns"),
    ],
)
async def test_a_statement_that_does_not_fit_the_schema_is_found(
    plant: Plant, database: Database, statement: str, message: str
) -> None:
    service = plant(persistence=f'GET = "{statement}"')
    with pytest.raises(AssertionError, match=message):
        await test_every_statement_prepares_on_the_migrated_schema(service, database)


def test_statements_are_the_public_constants_of_persistence(plant: Plant) -> None:
    service = plant(persistence='GET = "SELECT 1"\n_PART = "WHERE"\nLIMIT = 3\nlower = "text"')
    assert list(statements_of(service.modules)) == [(f"{ALPHA}.persistence.GET", "SELECT 1")]


async def test_a_foreign_key_to_a_table_of_another_owner_is_found(
    plant: Plant, tmp_path: Path, empty: Settings
) -> None:
    migrations = tmp_path / "planted" / "modules" / "alpha" / "migrations"
    migrations.mkdir()
    revision = """
        from alembic import op

        revision = "alpha_0001"
        down_revision = None
        branch_labels = ("alpha",)
        depends_on = None

        def upgrade() -> None:
            op.execute("CREATE TABLE alphas (id uuid PRIMARY KEY, parent_id uuid REFERENCES alphas)")
            op.execute("CREATE TABLE pages (id uuid PRIMARY KEY, note_id uuid REFERENCES notes)")
    """
    (migrations / "alpha_0001_alphas.py").write_text(dedent(revision), encoding="utf-8")
    service = replace(plant(), only=[NOTES, ALPHA])
    with pytest.raises(AssertionError, match="pages_note_id_fkey") as raised:
        await test_every_table_has_an_owner_and_no_foreign_key_crosses_owners(service, empty)
    assert "alphas_parent_id_fkey" not in str(raised.value)


@pytest.fixture
def example(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An example of the settings of the sample, as its `.env.example` would have to be."""
    fields = [(name.upper(), field) for kind in service.settings for name, field in kind.model_fields.items()]
    file = tmp_path / ".env.example"
    found = list(conventions.missing_in_example(service.settings, _empty(file)))
    assert found == sorted(f"{name} is not in .env.example" for name, _ in fields)
    text = "".join(f"# {field.description}\n# {name}=\n" for name, field in fields)
    file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(conventions, "project_folder", lambda: tmp_path)
    # The convention says how each line that is wrong must be written.
    for line in conventions.missing_in_example(service.settings, file):
        name, _, right = line.partition(": ")
        written = right.rpartition("`# ")[2].removesuffix("`")
        text = text.replace(f"# {name}=\n", f"# {written}\n")
    file.write_text(text, encoding="utf-8")
    return file


def _empty(file: Path) -> Path:
    file.touch()
    return file


def test_an_example_with_every_setting_passes(service: Service, example: Path) -> None:
    assert "# API_BODY_LIMIT=1048576\n" in example.read_text(encoding="utf-8")
    conventions.test_the_settings_are_in_the_example(service)


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("# API_PORT=8000\n", "", "API_PORT is not in .env.example"),
        ("# API_PORT=8000\n", "# API_PORT=8000\n# no setting\n# API_GATE=1\n", "API_GATE is in .env.example and no"),
        ("# API_PORT=8000\n", "# API_PORT=9000\n", "above `# API_PORT=8000`"),
        ("# API_DOCS=false\n", "# API_DOCS=true\n", "above `# API_DOCS=false`"),
        ("# public port of the API", "# port", "API_PORT: write `# public port of the API"),
        ("# characters a note may have", "# characters", "NOTES_LONGEST: write `# characters a note may have"),
    ],
)
def test_an_example_that_differs_from_the_settings_is_found(
    service: Service, example: Path, written: str, instead: str, message: str
) -> None:
    text = example.read_text(encoding="utf-8")
    assert text.count(written) == 1
    example.write_text(text.replace(written, instead), encoding="utf-8")
    with pytest.raises(AssertionError) as raised:
        conventions.test_the_settings_are_in_the_example(service)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "imported"),
    [
        ("import httpx", "httpx"),
        ("import re, httpx", "httpx"),
        ("from fastapi import Request", "fastapi"),
        ("from chassis.data import Connection", "chassis.data"),
        ("from . import persistence", "."),
        ("def late() -> None:\n    import httpx", "httpx"),
    ],
)
def test_an_import_of_a_domain_is_found(plant: Plant, statement: str, imported: str) -> None:
    service = plant(domain=statement)
    [module] = service.modules
    assert list(foreign_imports(module)) == [f"{ALPHA}.domain imports {imported}"]
    with pytest.raises(AssertionError):
        test_a_domain_imports_the_standard_library_and_errors_only(service)


def test_a_file_with_a_name_of_its_own_is_found(plant: Plant) -> None:
    service = plant(models="")
    with pytest.raises(AssertionError, match=r"models\.py"):
        test_modules_have_the_same_file_names(service)


@pytest.mark.parametrize("name", sorted(conventions.MEANINGLESS))
def test_a_meaningless_name_is_found(plant: Plant, tmp_path: Path, name: str) -> None:
    service = plant()
    (tmp_path / "planted" / name).mkdir()
    with pytest.raises(AssertionError, match=name):
        test_no_name_is_meaningless(service)


def test_a_handler_that_is_not_listed_is_found(plant: Plant) -> None:
    handlers = """
        from asyncio import sleep

        from chassis.jobs import Event, Transaction, handle

        class Happened(Event):
            pass

        async def listed(event: Happened, transaction: Transaction) -> None:
            await sleep(0)

        async def forgotten(event: Happened, transaction: Transaction) -> None:
            await sleep(0)

        async def _private() -> None:
            await sleep(0)

        HANDLERS = [handle(Happened, listed)]
    """
    service = plant(handlers=handlers)
    [module] = service.modules
    expected = f"{ALPHA}.handlers.forgotten is not in HANDLERS or SUBSCRIPTIONS: list it, or begin its name with _"
    assert list(unlisted_handlers(module)) == [expected]
    with pytest.raises(AssertionError, match="forgotten"):
        test_every_function_in_handlers_is_listed(service)


SOLD = """
    from uuid import UUID

    from chassis.jobs import Event, Transaction, handle

    class Sold(Event):
        {fields}

    async def count(event: Sold, transaction: Transaction) -> None:
        pass

    HANDLERS = [handle(Sold, count)]
"""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("thing_id: UUID; note: str = ''", None),
        ("thing_id: UUID; price: int", "alpha.count: field price required"),
        (
            "delivery = Delivery(version=2); thing_id: UUID",
            "alpha.count: a payload of version 1 is not read: ValueError",
        ),
    ],
)
def test_a_recorded_payload_that_is_not_read_is_found(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: str, message: str | None
) -> None:
    monkeypatch.setattr(messages, "project_folder", lambda: tmp_path)
    before = plant(handlers=SOLD.format(fields="thing_id: UUID"))
    (tmp_path / messages.FILE).write_text(json.dumps(messages.updated(handlers_of(before.modules), {})))
    conventions.test_every_recorded_payload_has_a_handler_that_reads_it(before)
    for name in [name for name in sys.modules if name.partition(".")[0] == "planted"]:
        monkeypatch.delitem(sys.modules, name)
    after = plant(handlers=SOLD.format(fields=fields).replace("import Event", "import Delivery, Event"))
    if message is None:
        conventions.test_every_recorded_payload_has_a_handler_that_reads_it(after)
        return
    with pytest.raises(AssertionError) as raised:
        conventions.test_every_recorded_payload_has_a_handler_that_reads_it(after)
    assert message in str(raised.value)


def test_every_convention_is_exported() -> None:
    tests = [name for name in vars(conventions) if name.startswith("test_")]
    assert sorted(tests) == sorted(conventions.__all__)
