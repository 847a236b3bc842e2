"""What is written, for every pair of answers: it parses, is formatted and lint-clean, and keeps its budgets."""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from allpairspy import AllPairs  # type: ignore[import-untyped]
from conftest import ROOT, Render, source_of, text_files
from manifest import manifest
from projects import chassis_of
from render import PARTS

LONGEST = "a" + "-b" * 31
ANSWERS: dict[str, list[Any]] = {
    "project_slug": ["acme-shop", "x", LONGEST],
    "python_version": ["3.12", "3.13", "3.14"],
    "auth": ["oidc", "api_key", "none"],
    "events": ["none", "nats"],
    "ci": ["github", "none"],
    "example": [True, False],
    "license": ["none", "MIT", "Apache-2.0"],
    "user_email": ["", "team@example.org"],
}
PAIRS = [dict(zip(ANSWERS, values, strict=True)) for values in AllPairs(list(ANSWERS.values()))]
# A ruff of a known version, whatever the project would install.
RUFF = ("ruff", "--quiet")
CHASSIS = ROOT / "template" / "chassis"
# Code lines of the chassis without its tools, and of the modules of a service with the example and events.
CHASSIS_BUDGET, MODULES_BUDGET = 7356, 941
README_LINES = 150
FILE_BUDGET, FUNCTION_BUDGET = 200, 40


@pytest.fixture(params=PAIRS, ids=lambda answers: "-".join(str(value)[:10] for value in answers.values()))
def project(request: pytest.FixtureRequest, render_service: Render) -> Path:
    return render_service(**request.param)


def test_the_pairs_cover_every_answer_with_every_other() -> None:
    for first, values in ANSWERS.items():
        for second, others in ANSWERS.items():
            if first < second:
                seen = {(answers[first], answers[second]) for answers in PAIRS}
                assert seen == {(value, other) for value in values for other in others}


def test_a_project_is_well_made(project: Path) -> None:
    for path in service_files(project):
        text = path.read_text(encoding="utf-8")
        assert parsed(path, text), path
        assert scars(path, text) == [], path
        assert leftovers(text) == [], path
    assert [path for path in project.rglob("*") if path.is_dir() and not any(path.iterdir())] == []
    assert [path for path in project.rglob("*") if path.is_symlink()] == []


def test_a_project_is_formatted_and_lint_clean(project: Path) -> None:
    subprocess.run([*RUFF, "format", "--check", "--no-cache"], cwd=project, check=True)
    subprocess.run([*RUFF, "check", "--no-cache"], cwd=project, check=True)


def service_files(project: Path) -> list[Path]:
    """List the files of a project but for the chassis, which has no Jinja."""
    return [path for path in text_files(project) if project / "chassis" not in path.parents]


def parsed(path: Path, text: str) -> bool:
    """Parse a file by its kind; kinds without a grammar here only must not be empty."""
    match path.suffix:
        case ".py":
            ast.parse(text)
        case ".toml":
            tomllib.loads(text)
        case ".json":
            json.loads(text)
        case ".yml" | ".yaml":
            yaml.safe_load(text)
    return bool(text.strip())


def scars(path: Path, text: str) -> list[str]:
    """Find what a careless condition in a template leaves behind."""
    found = ["blank lines at the start"] if text.startswith("\n") and path.name != "LICENSE" else []
    found += ["no end of line at the end"] if not text.endswith("\n") else []
    found += ["blank lines at the end"] if text.endswith("\n\n") else []
    found += ["a space at the end of a line"] if re.search(r"[ \t]+$", text, re.MULTILINE) else []
    limit = r"\n\n\n\n" if path.suffix in {".py", ".mako", ".md"} else r"\n\n\n"
    found += ["too many blank lines"] if re.search(limit, text) else []
    return found


def leftovers(text: str) -> list[str]:
    """Find Jinja that was not rendered; workflows have `${{` of their own, and alerts `{{ $`."""
    return re.findall(r"(?<!\$)\{\{(?! \$)|\{%|\{#|cookiecutter", text)


def test_the_checks_of_this_file_find_what_they_look_for(tmp_path: Path) -> None:
    assert scars(tmp_path / "a.yml", "a\n\n\nb \n\n") == [
        "blank lines at the end",
        "a space at the end of a line",
        "too many blank lines",
    ]
    assert leftovers("a {{ b }} {% if %} ${{ fine }} {{ $labels.fine }}") == ["{{", "{%"]
    with pytest.raises(tomllib.TOMLDecodeError):
        parsed(tmp_path / "a.toml", "a = ")


def test_the_chassis_keeps_its_budget(record_property: Callable[[str, object], None]) -> None:
    source = CHASSIS / "src" / "chassis"
    check_lengths(source)
    tools = {source / "dev", source / "testing"}
    lines = sum(source_lines(path) for path in source.rglob("*.py") if tools.isdisjoint(path.parents))
    record_property("lines of the chassis", lines)
    assert lines <= CHASSIS_BUDGET


def test_a_service_keeps_its_budget(render_service: Render, record_property: Callable[[str, object], None]) -> None:
    project = render_service(events="nats")
    check_lengths(source_of(project))
    lines = sum(source_lines(path) for path in source_of(project).rglob("*.py"))
    record_property("lines of the modules", lines)
    assert lines <= MODULES_BUDGET
    assert len((project / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize(
    ("events", "example", "limit"), [("none", True, 93), ("nats", True, 106), ("none", False, 63), ("nats", False, 64)]
)
def test_a_service_has_few_files(render_service: Render, *, events: str, example: bool, limit: int) -> None:
    project = render_service(events=events, example=example, license="MIT")
    assert len(service_files(project)) <= limit


def check_lengths(source: Path) -> None:
    for path in source.rglob("*.py"):
        assert source_lines(path) <= FILE_BUDGET, path
        for function in functions(path):
            assert (function.end_lineno or 0) - function.lineno < FUNCTION_BUDGET, f"{path}: {function.name}"


def test_the_chassis_is_the_same_in_every_project(render: Render) -> None:
    first = render(project_slug="first", events="nats", auth="none", license="MIT")
    second = render(project_slug="second", example=False, ci="none")
    assert chassis_of(first) == chassis_of(second)
    assert list((ROOT / "template" / "chassis").rglob("*.jinja")) == []


def test_the_manifest_is_as_the_chassis() -> None:
    assert (CHASSIS / "MANIFEST").read_text(encoding="utf-8") == manifest(CHASSIS), "run `just manifest`"


def source_lines(path: Path) -> int:
    """Count the lines that are neither blank nor only a comment."""
    return len(re.findall(r"^\s*[^\s#]", path.read_text(encoding="utf-8"), re.MULTILINE))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("events", ["none", "nats"])
def test_without_the_example_no_word_refers_to_it(render_service: Render, events: str) -> None:
    bare = {"example": False, "project_slug": "shop", "description": "A service.", "events": events}
    assert traces_of_the_example(render_service(**bare)) == []
    assert traces_of_the_example(render_service(description="A service.")) != []


def traces_of_the_example(project: Path) -> list[Path]:
    """List the files that refer to the example's modules, by their words or by their paths."""
    # A listener is asyncpg's, for notifications of PostgreSQL.
    words = re.compile(r"\b[Oo]rders\b|\bOrder[A-Z]\w*|[Nn]otification(?! listener)|\b[Aa]nnouncements\b")
    names = re.compile(r"(?i)order(s|_)|notif|announcements|payments")
    return [
        path
        for path in service_files(project)
        if words.search(path.read_text(encoding="utf-8")) or names.search(str(path.relative_to(project)))
    ]


def test_a_pipeline_and_a_license_are_there_when_asked_for(render_service: Render) -> None:
    project = render_service(ci="none", license="none")
    assert not (project / ".github").exists()
    assert not (project / "LICENSE").exists()
    project = render_service(ci="github", license="Apache-2.0", project_slug="shop")
    assert (project / ".github" / "workflows" / "check.yml").exists()
    assert "Apache License" in (project / "LICENSE").read_text(encoding="utf-8")


def test_jinja_stays_out_of_the_way() -> None:
    """Control lines are few, none is inside a function, and the chassis has none."""
    control = lines = 0
    for path in text_files(ROOT / "template"):
        if CHASSIS in path.parents:
            continue
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"^.*\{%.*$", text, re.MULTILINE)
        control += len(found)
        lines += len(text.splitlines())
        assert path.suffix == ".jinja" or not re.search(r"(?<!\$)\{\{ (?![{$])|\{%", text), f"{path} is not rendered"
        assert path.suffix != ".jinja" or re.search(r"\{\{|\{%", text), f"{path} needs no rendering"
        assert not (path.name.endswith(".py.jinja") and found) or path.name == "service.py.jinja", path
    assert control / lines < 0.04


def test_the_template_asks_for_no_trust() -> None:
    text = (ROOT / "copier.yml").read_text(encoding="utf-8")
    assert not re.search(r"^_(tasks|migrations|jinja_extensions):", text, re.MULTILINE)
    assert set(PARTS) == {"copier.yml", "includes", "template"}
