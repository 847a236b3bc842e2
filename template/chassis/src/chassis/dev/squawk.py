"""Lints the SQL of revisions with squawk: nothing rewrites or blocks a table, or takes from the running release."""

import io
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory

from chassis.data.migration import configuration
from chassis.dev.project import project_folder


def lint(owners: Mapping[str, Path]) -> int:
    """Lint the upgrades of all revisions of these owners, print what is wrong, and answer squawk's status."""
    revisions = ScriptDirectory.from_config(configuration(owners)).walk_revisions()
    with tempfile.TemporaryDirectory() as folder:
        for revision in revisions:
            (Path(folder) / f"{revision.revision}.sql").write_text(sql_of(revision), encoding="utf-8")
        files = sorted(map(str, Path(folder).glob("*.sql")))
        command = ["squawk", "--config", str(project_folder() / ".squawk.toml"), *files]
        return subprocess.run(command, check=False).returncode


def sql_of(revision: Script) -> str:
    """Write the statements of an upgrade as Alembic sends them, its transaction around them."""
    written = io.StringIO()
    options = {"as_sql": True, "output_buffer": written}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context), context.begin_transaction():
        revision.module.upgrade()
    return written.getvalue()
