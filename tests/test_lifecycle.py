"""Projects that are years old: from each earlier release to this one and the next, and still green at the end."""

from collections.abc import Callable
from pathlib import Path

import pytest
from months import change_a_tool, reformat, work
from projects import answers_of, check, check_that_work_is_kept, run, start, update
from releases import add_working_tree, build_repository, commit, current_version, earlier_releases, git
from test_update import release, second_release

pytestmark = pytest.mark.slow


def test_a_project_lives_on_over_several_releases(
    repository: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Two releases come after months of work, in a folder of a larger repository: all of it is kept, and green."""
    whole = tmp_path / "whole"
    whole.mkdir()
    git(whole, "init", "--quiet")
    project = start(repository, whole / "services" / "acme-shop")
    work(project)
    run(project, "uv", "lock")
    commit(project, "Lock")
    release(repository)
    conflicts = update_and_keep_theirs(project)
    second_release(repository)
    conflicts += update_and_keep_theirs(project)
    record_property("conflicts", f"two updates: {', '.join(conflicts) or 'none'}")
    assert set(conflicts) <= {".github/workflows/check.yml"}
    run(project, "uv", "lock")
    run(project, "uv", "run", "just", "openapi", "messages", "slos")  # as docs/upgrading.md says: they are its own
    check(project, start(repository, tmp_path / "fresh", **answers_of(project)))


@pytest.mark.parametrize("earlier", [found.version for found in earlier_releases()])
def test_a_project_of_an_earlier_release_lives_on(earlier: str, tmp_path: Path) -> None:
    repository = build_repository(tmp_path / "template", earlier_releases())
    project = start(repository, tmp_path / "acme-shop", f"v{earlier}")
    work(project)
    add_working_tree(repository)
    update_and_keep_theirs(project)
    assert answers_of(project)["_commit"] == f"v{current_version()}"
    run(project, "uv", "lock")
    run(project, "uv", "run", "just", "openapi", "messages", "slos")
    check(project, start(repository, tmp_path / "fresh", **answers_of(project)))


def test_a_project_that_is_formatted_otherwise_lives_on(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project, [change_a_tool, reformat])
    release(repository)
    update_and_keep_theirs(project)
    run(project, "uv", "run", "just", "fix")
    run(project, "uv", "run", "just", "openapi", "messages", "slos")
    fresh = start(repository, tmp_path / "fresh", **answers_of(project))
    reformat(fresh)
    check(project, fresh)


def update_and_keep_theirs(project: Path) -> list[str]:
    """Update, see that people's work is kept, settle conflicts in its favour, and see that all is done."""
    head = git(project, "rev-parse", "HEAD")
    last_of_work = git(project, "log", "--max-count=1", "--format=%H", "--invert-grep", "--grep=^Update$").strip()
    update(project)
    assert git(project, "rev-parse", "HEAD") == head
    conflicts = check_that_work_is_kept(project, last_of_work)
    for name in conflicts:
        git(project, "checkout", "--ours", "--", name)
    commit(project, "Update")
    update(project)
    assert git(project, "status", "--porcelain") == ""
    return conflicts
