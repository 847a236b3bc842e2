# `uv run just` lists the recipes.
_list:
    @uv run just --list --unsorted

# everything: format, lint, types, and all tests
[positional-arguments]
test *ARGUMENTS:
    @bin/test "$@"

# what takes under three minutes
[positional-arguments]
fast *ARGUMENTS:
    @bin/test fast "$@"

# format, and mend what the linter can
fix:
    uv run ruff check --fix
    uv run ruff format

# render the working tree into a new folder, to look at it
[positional-arguments]
render FOLDER *ARGUMENTS:
    @uv run python scripts/render.py "$@"
