"""A project that people have edited takes a new release, or other answers, without losing a line of theirs."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from months import (
    MONTHS,
    adapt_the_workflow,
    add_a_migration,
    add_a_module,
    add_a_recipe,
    add_a_setting,
    add_dependencies,
    append,
    change_a_setting,
    delete_files,
    keep_a_changelog,
    replace,
    rewrite_the_readme,
    work,
)
from projects import answers_of, change_answers, check_that_work_is_kept, conflicts_of, start, tree, update
from releases import add_working_tree, build_repository, commit, earlier_releases, git
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
    "queue_engine": ["nats"],
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
    change_a_setting,
    keep_a_changelog,
)


def release(repository: Path) -> None:
    """Make the next release: changed files, a migration for the kernel, a dependency, a file that is gone."""
    template = repository / "template"
    package = template / "src" / "{{package_name}}"
    replace(template / ".editorconfig", "max_line_length = 120", "max_line_length = 100")
    replace(template / "pyproject.toml.jinja", '    "asyncpg>', '    "anyio>=4.11",\n    "asyncpg>')
    replace(template / "README.md.jinja", "## Test\n", "## Test it\n")
    replace(template / ".github" / "workflows" / "check.yml", "timeout-minutes: 15", "timeout-minutes: 20")
    append(package / "kernel" / "errors.py", '\n\nclass Gone(Error):\n    status = 410\n    title = "Gone"\n')
    replace(
        template / "docs" / "problems.md",
        "| `precondition-failed`",
        "| `gone` | 410 | Gone | - |\n| `precondition-failed`",
    )
    (package / "kernel" / "clock.py").write_text('"""The time."""\n')
    migrations = package / "kernel" / "migrations"
    newest = len(list(migrations.glob("kernel_*")))
    (migrations / f"kernel_{newest + 1:04}_clock.py").write_text(
        '"""A clock."""\n\nfrom alembic import op\n\n'
        f'revision = "kernel_{newest + 1:04}"\ndown_revision = "kernel_{newest:04}"\n'
        "branch_labels = None\ndepends_on = None\n\n\n"
        'def upgrade() -> None:\n    op.execute("CREATE TABLE clock (now timestamptz)")\n\n\n'
        'def downgrade() -> None:\n    op.execute("DROP TABLE clock")\n'
    )
    (template / ".vscode" / "extensions.json").unlink()
    changelog = repository / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("\n## ", "\n## 99.0.0\n\nA clock.\n\n## ", 1))
    commit(repository, "Release 99.0.0", "v99.0.0")


def test_months_of_work_are_kept_by_a_release(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project)
    head = git(project, "rev-parse", "HEAD").strip()

    release(repository)
    update(project)

    assert check_that_work_is_kept(project, head) == ["README.md", ".github/workflows/check.yml"][::-1]
    kernel = project / "src" / "acme_shop" / "kernel"
    assert (kernel / "clock.py").exists()
    assert len(list((kernel / "migrations").glob("kernel_*_clock.py"))) == 1
    assert "class Gone" in (kernel / "errors.py").read_text()
    assert "max_line_length = 100" in (project / ".editorconfig").read_text()
    assert not (project / ".vscode" / "extensions.json").exists()
    assert answers_of(project)["_commit"] == "v99.0.0"


@pytest.mark.slow
def test_a_project_that_is_older_than_identity_goes_on_without(tmp_path: Path) -> None:
    """No update asks for tokens; a new project begins with them, and a living one may change its answer."""
    before = [release for release in earlier_releases() if release.version < "0.3"]
    repository = build_repository(tmp_path / "template", before)
    project = start(repository, tmp_path / "acme-shop")
    assert "auth" not in answers_of(project)
    add_working_tree(repository)
    update(project)
    assert answers_of(project)["auth"] == "none"
    kernel = project / "src" / "acme_shop" / "kernel"
    assert (kernel / "anonymous.py").exists()
    assert not (kernel / "oidc").exists()
    assert conflicts_of(project) == []
    commit(project, "Update")
    change_answers(project, auth="oidc")
    assert (kernel / "oidc").exists()
    assert not (kernel / "anonymous.py").exists()
    assert answers_of(start(repository, tmp_path / "new"))["auth"] == "oidc"


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
        "<<<<<<< before updating\n    timeout-minutes: 30\n=======\n    timeout-minutes: 20\n>>>>>>> after updating\n"
    ) in text
    assert text.endswith("      - run: uv build\n")


@pytest.mark.slow
def test_work_in_files_that_a_release_leaves_alone_never_conflicts(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "acme-shop")
    work(project, [edit for edit in MONTHS if edit not in {adapt_the_workflow, rewrite_the_readme}])
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
def test_an_answer_changes_there_and_back_and_there_again(released: Path, tmp_path: Path, question: str) -> None:
    """What comes of it is what these answers give at the start, with people's work added."""
    project = start(released, tmp_path / "living")
    work(project, LASTING)
    before = answers_of(project)[question]
    for value in (*CHANGES[question], before, *CHANGES[question]):
        change_answers(project, **{question: value})
        assert conflicts_of(project) == []
        commit(project, f"{question} is {value}")
    fresh = start(released, tmp_path / "fresh", **answers_of(project))
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
    assert "40, ge=2" in (project / "src" / "bakery" / "settings.py").read_text()
    assert (project / "src" / "bakery" / "kernel" / "clock.py").exists()


@pytest.mark.parametrize("where", ["given", "recorded"])
def test_a_package_is_not_renamed_over_the_work_in_it(repository: Path, tmp_path: Path, where: str) -> None:
    project = start(repository, tmp_path / "acme-shop")
    if where == "recorded":
        replace(project / ".copier-answers.yml", "package_name: acme_shop", "package_name: bakery")
        commit(project, "Edit the answers")
    with pytest.raises(Exception, match="Validation error for question 'package_name': Rename the folder in src first"):
        update(project, data={"package_name": "bakery"} if where == "given" else {})
    assert git(project, "status", "--porcelain") == ""


def test_a_name_that_a_release_takes_is_not_replaced_without_a_word(repository: Path, tmp_path: Path) -> None:
    project = start(repository, tmp_path / "bread", project_name="Bread")
    replace(repository / "includes" / "names.jinja", "\nalembic ", "\nalembic bread ")
    release(repository)
    with pytest.raises(Exception, match="Validation error for question 'project_slug': A dependency has this name"):
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
