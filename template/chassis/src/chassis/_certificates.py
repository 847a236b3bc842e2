"""Settings that name certificates: OpenSSL ignores what it cannot read, so that they are checked at the start."""

import os
import ssl
from pathlib import Path


def check_certificates[F: (str, Path)](file: F) -> F:
    """Accept a file that TLS can read certificates from, or empty text. Raises ValueError."""
    if file:
        try:
            ssl.create_default_context(cafile=file)
        except OSError:
            raise ValueError from None
    return file


def check_folders(paths: str) -> str:
    """Accept folders, separated as in PATH, or empty text. Raises ValueError."""
    if not all(Path(path).is_dir() for path in paths.split(os.pathsep) if path):
        raise ValueError
    return paths
