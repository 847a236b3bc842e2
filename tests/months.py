"""What people do to a project in the months after its start; each function is one such edit."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from releases import commit

RUFF = ("ruff", "--quiet")
MODULE, PACKAGE = "invoices", "acme_shop"


def add_a_module(project: Path) -> None:
    """Grow one beside the example, with tables, an API, a task and tests: the example's own, under other words."""
    for folder in (project / "src" / PACKAGE / "modules", project / "tests" / "modules"):
        shutil.copytree(folder / "orders", folder / MODULE)
        for path in sorted((folder / MODULE).rglob("*.py")):
            text = path.read_text(encoding="utf-8").replace("order", "invoice").replace("Order", "Invoice")
            path.unlink()
            path.with_name(path.name.replace("order", "invoice")).write_text(text, encoding="utf-8")
        subprocess.run([*RUFF, "format", "--no-cache", MODULE], cwd=folder, check=True)
        subprocess.run([*RUFF, "check", "--fix", "--no-cache", MODULE], cwd=folder, check=True)
        subprocess.run([*RUFF, "format", "--no-cache", MODULE], cwd=folder, check=True)


def add_a_migration(project: Path) -> None:
    """Let one more revision follow the module's newest."""
    folder = project / "src" / PACKAGE / "modules" / MODULE / "migrations"
    newest = len(list(folder.glob(f"{MODULE}_*.py")))
    last, revision = f"{MODULE}_{newest:04}", f"{MODULE}_{newest + 1:04}"
    (folder / f"{revision}_note.py").write_text(
        f'"""A note."""\n\nfrom alembic import op\n\nrevision = "{revision}"\ndown_revision = "{last}"\n'
        "branch_labels = None\ndepends_on = None\n\n\n"
        f'def upgrade() -> None:\n    op.execute("ALTER TABLE {MODULE} ADD COLUMN note text")\n\n\n'
        f'def downgrade() -> None:\n    op.execute("ALTER TABLE {MODULE} DROP COLUMN note")\n',
        encoding="utf-8",
    )


def add_a_setting(project: Path) -> None:
    """Give the module a setting of its own, and list it."""
    (project / "src" / PACKAGE / "modules" / MODULE / "settings.py").write_text(
        '"""The settings of invoices."""\n\n'
        "from chassis.settings import EnvironmentSettings\nfrom pydantic import Field\n\n\n"
        "class Settings(EnvironmentSettings):\n"
        '    invoices_prefix: str = Field("INV", description="what an invoice\'s number begins with")\n',
        encoding="utf-8",
    )
    append(project / ".env.example", "\n# what an invoice's number begins with\n# INVOICES_PREFIX=INV\n")


def change_a_tool(project: Path) -> None:
    """Give tests less time than the template does."""
    replace(project / "pytest.ini", "timeout = 300", "timeout = 200")


def add_dependencies(project: Path) -> None:
    """Add them where the comments say."""
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    text = text.replace("what your modules need besides.\n", 'what your modules need besides.\n    "aiofiles>=24.1",\n')
    text = text.replace("your own tools.\n", 'your own tools.\n    "polyfactory>=2.18,<4",\n')
    (project / "pyproject.toml").write_text(text, encoding="utf-8")


def mend_the_chassis(project: Path) -> None:
    """Edit a file of the chassis, as somebody does who cannot wait for a release."""
    replace(project / "chassis/src/chassis/http/_router.py", "ATTEMPTS = 3", "ATTEMPTS = 5")


def rewrite_the_readme(project: Path) -> None:
    (project / "README.md").write_text("# Bread and more\n\nAsk in the kitchen.\n", encoding="utf-8")


def keep_a_changelog(project: Path) -> None:
    append(project / "CHANGELOG.md", "\n## 0.0.9\n\nInvoices.\n")


def change_the_example(project: Path) -> None:
    """Say it in the shop's words, and expect them in the tests."""
    words = {"Order not found": "No such order", "Your order ": "Dear guest, your order "}
    for folder in (project / "src" / PACKAGE / "modules", project / "tests" / "modules"):
        for path in (*(folder / "orders").glob("*.py"), *(folder / "notifications").glob("*.py")):
            text = path.read_text(encoding="utf-8")
            for old, new in words.items():
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")


def delete_files(project: Path) -> None:
    for name in (".pre-commit-config.yaml", ".vscode/launch.json", "docs/decisions/0002-sql-by-name-on-asyncpg.md"):
        (project / name).unlink()


def adapt_the_workflow(project: Path) -> None:
    replace(project / ".github" / "workflows" / "check.yml", "timeout-minutes: 15", "timeout-minutes: 30")
    append(project / ".github" / "workflows" / "check.yml", "      - run: uv build\n")


def add_a_recipe(project: Path) -> None:
    """Add it where everybody does."""
    append(project / "justfile", "\n# ours\nours:\n    @echo ours\n")


def teach_the_agents(project: Path) -> None:
    append(project / "AGENTS.md", "- Money is in cents, and bread is never free.\n")


def reformat(project: Path) -> None:
    """Prefer shorter lines than the template, everywhere."""
    replace(project / "ruff.toml", "line-length = 120", "line-length = 100")
    replace(project / "ruff.toml", '    "D213", ', '    "E501",   # long words stay whole\n    "D213", ')
    subprocess.run([*RUFF, "format", "--no-cache"], cwd=project, check=True)


MONTHS: Sequence[Callable[[Path], None]] = (
    add_a_module,
    add_a_migration,
    add_a_setting,
    change_a_tool,
    add_dependencies,
    rewrite_the_readme,
    keep_a_changelog,
    change_the_example,
    delete_files,
    adapt_the_workflow,
    add_a_recipe,
    teach_the_agents,
)


def work(project: Path, edits: Sequence[Callable[[Path], None]] = MONTHS) -> None:
    """Make these edits, a commit for each."""
    for edit in edits:
        edit(project)
        commit(project, edit.__name__.replace("_", " "))


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    """Replace the first of what must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
