"""A project that people have edited takes a new release, or other answers, without losing a line of theirs."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from manifest import write_manifest
from months import (
    MONTHS,
    adapt_the_workflow,
    add_a_migration,
    add_a_module,
    add_a_recipe,
    add_a_setting,
    add_dependencies,
    append,
    change_a_tool,
    delete_files,
    keep_a_changelog,
    mend_the_chassis,
    replace,
    work,
)
from projects import answers_of, change_answers, check_that_work_is_kept, conflicts_of, start, tree, update
from releases import commit, git
from test_questions import QUESTIONS

# Each answer, away from its default and through all its choices.
CHANGES: dict[str, Sequence[Any]] = {
    "project_name": ["Corner Bakery"],
    "project_slug": ["corner-bakery"],
    "description": ['Bread, and "more" of it: ${{ it }} # isn\'t code.'],
    "user_name": ["Ann O'Nyme"],
    "user_email": ["ann@example.org"],
    "python_version": ["3.12", "3.14"],
    "auth": ["api_key", "none"],
    "events": ["nats"],
    "ci": ["none"],
    "example": [False],
    "license": ["MIT", "Apache-2.0"],
}
# Work that no answer takes away or writes over.
LASTING = (
    add_a_module,
    add_a_migration,
    add_a_setting,
    add_dependencies,
    add_a_recipe,
    change_a_tool,
    keep_a_changelog,
)


def release(repository: Path) -> None:
    """Make the next release: the chassis has a new file, a moved one, a migration and a floor; a file is gone."""
    template = repository / "template"
    chassis = template / "chassis"
    source = chassis / "src" / "chassis"
    replace(template / ".editorconfig", "max_line_length = 120", "max_line_length = 100")
    replace(template / ".github" / "workflows" / "check.yml", "timeout-minutes: 15", "timeout-minutes: 25")
    (template / ".vscode" / "extensions.json").unlink()
    replace(chassis / "pyproject.toml", '    "asyncpg>', '    "anyio>=4.11",\n    "asyncpg>')
    append(source / "errors.py", '\n\nclass Gone(Error):\n    status = 410\n    title = "Gone"\n')
    replace(chassis / "REFERENCE.md", "| `precondition-failed`", "| `gone` | 410 | Gone | - |\n| `precondition-failed`")
    (source / "ops" / "_clock.py").write_text('"""The time."""\n')
    (source / "http" / "_cors.py").rename(source / "http" / "_origins.py")
    for importer in ("_application.py", "_protocol.py", "_request_context.py"):
        replace(source / "http" / importer, "chassis.http._cors", "chassis.http._origins")
    (source / "http" / "migrations" / "chassis_http_0002_clock.py").write_text(
        '"""A clock."""\n\nfrom alembic import op\n\n'
        'revision = "chassis_http_0002"\ndown_revision = "chassis_http_0001"\n'
        "branch_labels = None\ndepends_on = None\n\n\n"
        'def upgrade() -> None:\n    op.execute("CREATE TABLE chassis_clock (now timestamptz)")\n\n\n'
        'def downgrade() -> None:\n    op.execute("DROP TABLE chassis_clock")\n'
    )
    publish(repository, "99.0.0", "A clock.")


def second_release(repository: Path) -> None:
    """Make one more release, which adds a question."""
    text = (repository / "copier.yml").read_text(encoding="utf-8")
    question = "region:\n  type: str\n  help: Region\n  default: eu\n\n"
    (repository / "copier.yml").write_text(text.replace("license:\n", f"{question}license:\n", 1), encoding="utf-8")
    append(repository / "template" / ".gitattributes", "*.sql text eol=lf\n")
    publish(repository, "99.1.0", "A region.")


def publish(repository: Path, version: str, news: str) -> None:
    write_manifest(repository / "template" / "chassis")
    changelog = repository / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("\n## ", f"\n## {version}\n\n{news}\n\n## ", 1))
    commit(repository, f"Release {version}", f"v{version}")


def test_months_of_work_are_kept_by_a_release(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project)
    head = git(project, "rev-parse", "HEAD").strip()

    release(repository)
    update(project)

    assert check_that_work_is_kept(project, head) == [".github/workflows/check.yml"]
    source = project / "chassis" / "src" / "chassis"
    assert (source / "ops" / "_clock.py").exists()
    assert (source / "http" / "_origins.py").exists()
    assert not (source / "http" / "_cors.py").exists()
    assert "class Gone" in (source / "errors.py").read_text()
    assert "max_line_length = 100" in (project / ".editorconfig").read_text()
    assert not (project / ".vscode" / "extensions.json").exists()
    assert answers_of(project)["_commit"] == "v99.0.0"


@pytest.mark.slow
def test_a_fix_in_the_chassis_survives_a_release(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project, [mend_the_chassis])
    head = git(project, "rev-parse", "HEAD").strip()
    release(repository)
    update(project)
    assert check_that_work_is_kept(project, head) == []
    assert "ATTEMPTS = 5" in (project / "chassis/src/chassis/http/_router.py").read_text()


@pytest.mark.slow
def test_a_second_update_changes_nothing(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project)
    release(repository)
    update(project)
    for name in conflicts_of(project):
        git(project, "checkout", "--ours", "--", name)
    commit(project, "Update")
    update(project)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_only_lines_that_both_sides_changed_conflict_and_both_are_shown(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project, [adapt_the_workflow])
    release(repository)
    update(project)
    text = (project / ".github" / "workflows" / "check.yml").read_text()
    assert (
        "<<<<<<< before updating\n    timeout-minutes: 30\n=======\n    timeout-minutes: 25\n>>>>>>> after updating\n"
    ) in text
    assert text.endswith("      - run: uv build\n")


@pytest.mark.slow
def test_work_in_files_that_a_release_leaves_alone_never_conflicts(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project, [edit for edit in MONTHS if edit is not adapt_the_workflow])
    head = git(project, "rev-parse", "HEAD").strip()
    release(repository)
    update(project)
    assert check_that_work_is_kept(project, head) == []


@pytest.mark.slow
def test_a_project_in_a_folder_of_a_larger_repository_is_updated_there(repository: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    (whole / "website").mkdir(parents=True)
    (whole / "website" / "README.md").write_text("# The website\n")
    git(whole, "init", "--quiet")
    commit(whole, "Begin with a website")
    project = start(repository, whole / "services" / "acme-shop")
    work(project, LASTING)
    head = git(whole, "rev-parse", "HEAD").strip()
    release(repository)
    update(project)
    assert check_that_work_is_kept(project, head) == []
    changed = git(whole, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert changed
    assert all("services/acme-shop/" in line for line in changed)


@pytest.mark.slow
@pytest.mark.parametrize("question", CHANGES)
def test_an_answer_changes_there_and_back_and_there_again(
    released_service: Path, tmp_path: Path, question: str
) -> None:
    """What comes of it is what these answers give at the start, with people's work added."""
    project = start(released_service, tmp_path / "living")
    work(project, LASTING)
    before = answers_of(project)[question]
    for value in (*CHANGES[question], before, *CHANGES[question]):
        change_answers(project, **{question: value})
        assert conflicts_of(project) == []
        commit(project, f"{question} is {value}")
    fresh = start(released_service, tmp_path / "fresh", **answers_of(project))
    for folder in ("src/acme_shop/modules/invoices", "tests/modules/invoices"):
        shutil.copytree(project / folder, fresh / folder)
    work(fresh, [edit for edit in LASTING if edit not in {add_a_module, add_a_migration}])
    assert tree(project) == tree(fresh)


def test_every_question_is_among_those_whose_answers_change() -> None:
    assert CHANGES.keys() == QUESTIONS.keys() - {"package_name"}


@pytest.mark.slow
def test_a_package_that_is_renamed_first_is_renamed_without_loss(repository: Path, tmp_path: Path) -> None:
    """As docs/upgrading.md says: people rename, and note the new name among the answers."""
    project = start(repository, tmp_path / "acme-shop")
    work(project, LASTING)
    shutil.move(project / "src" / "acme_shop", project / "src" / "bakery")
    for path in tree(project):
        text = (project / path).read_text()
        (project / path).write_text(text.replace("acme_shop", "bakery"))
    commit(project, "Rename")
    head = git(project, "rev-parse", "HEAD").strip()
    release(repository)
    update(project)
    assert git(project, "rev-parse", "HEAD").strip() == head
    assert conflicts_of(project) == []
    assert [path.name for path in (project / "src").iterdir()] == ["bakery"]
    assert (project / "src" / "bakery" / "modules" / "invoices" / "settings.py").exists()
    assert (project / "chassis" / "src" / "chassis" / "ops" / "_clock.py").exists()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["given", "recorded"])
def test_a_package_is_not_renamed_over_the_work_in_it(repository: Path, tmp_path: Path, where: str) -> None:
    project = start(repository, tmp_path / "acme-shop")
    if where == "recorded":
        replace(project / ".copier-answers.yml", "package_name: acme_shop", "package_name: bakery")
        commit(project, "Edit the answers")
    with pytest.raises(Exception, match="Validation error for question 'package_name': Rename the folder in src first"):
        update(project, data={"package_name": "bakery"} if where == "given" else {})
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_name_that_a_release_takes_is_not_replaced_without_a_word(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "bread", project_name="Bread")
    replace(repository / "includes" / "names.jinja", "\nalembic ", "\nalembic bread ")
    release(repository)
    with pytest.raises(Exception, match="Validation error for question 'project_slug': Conflicts with a dependency"):
        update(project)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_file_that_was_deleted_stays_so_when_the_release_changes_it(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project, [delete_files])
    append(repository / "template" / ".pre-commit-config.yaml", "# changed\n")
    release(repository)
    update(project)
    assert not (project / ".pre-commit-config.yaml").exists()
