"""Writes `template/chassis/MANIFEST`, which says what the chassis of a release is; `--check` only compares.

The chassis's own `chassis.dev.manifest` reads it in projects; here no dependency of the chassis is installed.
"""

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

CHASSIS = Path(__file__).resolve().parent.parent / "template" / "chassis"
PARTS = ("LICENSE", "README.md", "REFERENCE.md", "pyproject.toml", "ruff.toml", ".importlinter", "src", "tests")


def manifest(chassis: Path) -> str:
    """Give a line for each file, as `sha256sum` writes it."""
    return "".join(
        f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(chassis).as_posix()}\n"
        for path in sorted(_files(chassis))
    )


def _files(chassis: Path) -> Iterator[Path]:
    for part in PARTS:
        found = [chassis / part] if (chassis / part).is_file() else (chassis / part).rglob("*")
        yield from (path for path in found if path.is_file() and "__pycache__" not in path.parts)


def write_manifest(chassis: Path) -> None:
    (chassis / "MANIFEST").write_text(manifest(chassis), encoding="utf-8")


def main() -> None:
    if "--check" not in sys.argv:
        write_manifest(CHASSIS)
    elif (CHASSIS / "MANIFEST").read_text(encoding="utf-8") != manifest(CHASSIS):
        sys.exit("template/chassis/MANIFEST is not as the files: run `just manifest`")


if __name__ == "__main__":
    main()
