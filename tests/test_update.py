"""A project that people have edited takes a new release without losing a line of theirs."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import copier
import pytest
from copier import VcsRef
from render import copy_template

GIT = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str, tag: str | None = None) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    if tag:
        git(folder, "tag", tag)


def update(project: Path, **options: Any) -> None:  # noqa: ANN401  # as Copier's
    copier.run_update(project, defaults=True, overwrite=True, quiet=True, **options)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The template as a git repository with its release v0.1.0."""
    folder = copy_template(tmp_path / "template-repository")
    git(folder, "init", "--quiet")
    commit(folder, "Release", "v0.1.0")
    return folder


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Path:
    target = tmp_path / "acme-shop"
    copier.run_copy(str(repository), target, defaults=True, quiet=True)
    git(target, "init", "--quiet")
    commit(target, "Start the project")
    return target


def release(repository: Path) -> None:
    """Make the next release: a changed file, a new one, one that is gone."""
    template = repository / "template"
    package = template / "src" / "{{package_name}}"
    editorconfig = template / ".editorconfig"
    editorconfig.write_text(editorconfig.read_text().replace("max_line_length = 120", "max_line_length = 100"))
    errors = package / "kernel" / "errors.py"
    errors.write_text(errors.read_text() + '\n\nclass Gone(Error):\n    status = 410\n    title = "Gone"\n')
    (package / "kernel" / "clock.py").write_text('"""The time."""\n')
    (template / ".vscode" / "extensions.json").unlink()
    commit(repository, "Release", "v0.2.0")


def test_an_edited_project_takes_a_release(repository: Path, project: Path) -> None:
    source = project / "src" / "acme_shop"
    readme = project / "README.md"
    readme.write_text("# Ours\n\nAll rewritten.\n")
    invoices = source / "modules" / "invoices"
    shutil.copytree(source / "modules" / "orders", invoices)
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('    "alembic', '    "aiohttp>=3.12",\n    "alembic'))
    (project / ".pre-commit-config.yaml").unlink()
    (project / "CHANGELOG.md").write_text("# Ours\n")
    commit(project, "Months of work")
    edited = {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and ".git" not in path.parts}

    release(repository)
    update(project)

    assert (source / "kernel" / "clock.py").exists()
    assert "class Gone" in (source / "kernel" / "errors.py").read_text()
    assert "max_line_length = 100" in (project / ".editorconfig").read_text()
    assert not (project / ".vscode" / "extensions.json").exists()
    assert not (project / ".pre-commit-config.yaml").exists()
    assert "_commit: v0.2.0" in (project / ".copier-answers.yml").read_text()
    changed = {"errors.py", ".editorconfig", "extensions.json", ".copier-answers.yml"}
    for path, content in edited.items():
        if path.name not in changed or invoices in path.parents:
            assert path.read_bytes() == content, path
    assert list(project.rglob("*.rej")) == []
    assert "<<<<<<<" not in "".join(path.read_text() for path in source.rglob("*.py"))

    commit(project, "Update")
    update(project)
    assert git(project, "status", "--porcelain") == ""


def test_an_answer_can_be_changed_later(repository: Path, project: Path) -> None:
    del repository
    copier.run_update(
        project, data={"example": False}, vcs_ref=VcsRef.CURRENT, defaults=True, overwrite=True, quiet=True
    )
    assert [path.name for path in (project / "src" / "acme_shop" / "modules").glob("*")] == ["__init__.py"]
    commit(project, "Drop the example")
    copier.run_update(
        project, data={"example": True}, vcs_ref=VcsRef.CURRENT, defaults=True, overwrite=True, quiet=True
    )
    assert (project / "src" / "acme_shop" / "modules" / "orders" / "api.py").exists()
