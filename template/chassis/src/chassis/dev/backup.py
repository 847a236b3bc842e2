"""Backs a database up into one file and restores it, with the programs that `chassis.dev.postgres` finds.

A deployed database is backed up in the same way, by naming it in DATABASE_URL: pg_dump takes no lock that a running
service would notice. A restore leaves what is there alone: it wants an empty database.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from chassis.dev import environment, postgres

TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"


def backup(url: str, *arguments: str) -> int:
    """Write the database to FILE, in the custom format of pg_dump, and not at all when it breaks off."""
    parser = argparse.ArgumentParser(prog="just backup")
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args(arguments).file
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.touch(mode=0o600)
    _call("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={unfinished}")
    unfinished.replace(file)
    print(f"Written to {file}.")
    return 0


def restore(url: str, *arguments: str) -> int:
    """Read FILE into the database, or into one that is made beside it; it must be empty and on this machine."""
    parser = argparse.ArgumentParser(prog="just restore")
    parser.add_argument("file", type=Path)
    parser.add_argument("--into", metavar="NAME", help="make this database on the same server and restore into it")
    parser.add_argument("--elsewhere", action="store_true", help="allow a database that is not on this machine")
    options = parser.parse_args(arguments)
    if not options.elsewhere:
        environment.require_local(url)
    target = _make(url, options.into) if options.into else url
    name = urlsplit(target).path[1:]
    if _ask(target, TABLES) != "0":
        raise postgres.PostgresError(f"{name} is not empty: choose another with --into NAME, which is made")
    _call("pg_restore", target, "--exit-on-error", "--single-transaction", "--no-owner", options.file)
    print(f"Restored into {name}.")
    return 0


def _make(url: str, name: str) -> str:
    _call("createdb", url, name, option="--maintenance-db")
    return postgres.join(urlsplit(url)._replace(path=f"/{name}"))


def _ask(url: str, query: str) -> str:
    return _call("psql", url, "--no-psqlrc", "--tuples-only", "--no-align", "--command", query).strip()


def _call(program: str, url: str, *arguments: str | Path, option: str = "--dbname") -> str:
    """Run one of PostgreSQL's programs, the password out of sight of those who list processes.

    Raises PostgresError with its words, when it fails or is not there.
    """
    parts = urlsplit(url)
    named = postgres.join(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@", 1)))
    variables = os.environ | ({"PGPASSWORD": unquote(parts.password)} if parts.password else {})
    command: Sequence[str | Path] = [postgres.programs() / program, f"{option}={named}", *arguments]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    except FileNotFoundError as error:
        raise postgres.PostgresError(f"{program} is missing: name a PostgreSQL that has it in PG_BIN") from error
    if done.returncode:
        raise postgres.PostgresError(done.stderr.strip())
    sys.stderr.write(done.stderr)
    return done.stdout
