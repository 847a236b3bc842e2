"""Refuses a folder that is not empty, even if Cookiecutter was told to overwrite."""

import sys
from pathlib import Path

if any(Path().iterdir()):
    sys.exit(f"{Path.cwd()} is not empty; nothing was changed. Use `copier update` to update a project.")
