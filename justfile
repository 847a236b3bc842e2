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

# write the recording of the dialogue in the README anew
record:
    @uv run python scripts/record.py

# time copying and updating beside a trivial template and Cookiecutter
[positional-arguments]
bench *ARGUMENTS:
    @uv run python scripts/bench.py "$@"

# render the working tree into a new folder, to look at it
[positional-arguments]
render FOLDER *ARGUMENTS:
    @uv run python scripts/render.py "$@"

# write cookiecutter.json anew from copier.yml; --check only compares
[positional-arguments]
bridge *ARGUMENTS:
    @uv run python scripts/cookiecutter_bridge.py "$@"

# write template/chassis/MANIFEST anew; --check only compares
[positional-arguments]
manifest *ARGUMENTS:
    @uv run python scripts/manifest.py "$@"

# time three requests of a generated project beside the same on plain FastAPI and asyncpg
[positional-arguments]
bench-api *ARGUMENTS:
    @uv run python scripts/bench_api.py "$@"
