"""Refuses a folder that has something in it, even when Cookiecutter was told to overwrite."""

import sys
from pathlib import Path

if any(Path().iterdir()):
    sys.exit(f"{Path.cwd()} is not empty, and nothing in it was changed. `copier update` brings a project up to date.")
