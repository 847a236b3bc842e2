"""Says whether the chassis was edited: `chassis/MANIFEST` has the hash of each of its files.

Line endings are folded before hashing, as git may write them otherwise on Windows.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from chassis.dev.project import project_folder

NAME = "MANIFEST"
FOLDERS = ("src", "tests")
FILES = ("LICENSE", "README.md", "REFERENCE.md", "pyproject.toml", "ruff.toml", ".importlinter")
BESIDE = frozenset({"__pycache__"})


def hashes_of(chassis: Path) -> Mapping[str, str]:
    """Map each file of the chassis to its SHA-256, by its path with slashes."""
    return {
        path.relative_to(chassis).as_posix(): sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for path in sorted(_files(chassis))
    }


def _files(chassis: Path) -> Iterator[Path]:
    yield from (chassis / name for name in FILES if (chassis / name).is_file())
    for folder in FOLDERS:
        yield from (
            path
            for path in (chassis / folder).rglob("*")
            if path.is_file() and path.suffix != ".pyc" and BESIDE.isdisjoint(path.parts)
        )


def written(chassis: Path) -> str:
    """Give the text of the manifest, a line for each file as `sha256sum` writes it."""
    return "".join(f"{digest}  {name}\n" for name, digest in hashes_of(chassis).items())


def edited(chassis: Path) -> list[str]:
    """Name the files that were changed, added or removed since the release."""
    recorded = {}
    for line in (chassis / NAME).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        recorded[name] = digest
    present = hashes_of(chassis)
    return sorted(name for name in {*recorded, *present} if recorded.get(name) != present.get(name))


def report() -> str:
    """Say in a line whether the chassis was edited."""
    chassis = project_folder() / "chassis"
    if not chassis.is_dir():
        return "The chassis is an installed package."
    names = edited(chassis)
    if not names:
        return "The chassis is unmodified."
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004
    return f"The chassis was edited ({listed}): run `just conformance` as well."
