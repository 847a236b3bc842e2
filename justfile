# `uv run just` lists the recipes.
_list:
    @uv run just --list --unsorted

# run everything: format, lint, types, all tests
[positional-arguments]
test *ARGUMENTS:
    @bin/test "$@"

# run the fast part of it, a few minutes
[positional-arguments]
fast *ARGUMENTS:
    @bin/test fast "$@"

# lint with fixes, then format
fix:
    uv run ruff check --fix
    uv run ruff format

# record the dialogue in the README again
record:
    @uv run python scripts/record.py

# time copying and updating, compared with a trivial template and Cookiecutter
[positional-arguments]
bench *ARGUMENTS:
    @uv run python scripts/bench.py "$@"

# render the working tree into a new folder: `just render /tmp/shop example=false`
[positional-arguments]
render FOLDER *ARGUMENTS:
    @uv run python scripts/render.py "$@"

# write cookiecutter.json from copier.yml; --check only compares
[positional-arguments]
bridge *ARGUMENTS:
    @uv run python scripts/cookiecutter_bridge.py "$@"

# write template/chassis/MANIFEST; --check only compares
[positional-arguments]
manifest *ARGUMENTS:
    @uv run python scripts/manifest.py "$@"

# time three requests of a generated project, compared with plain FastAPI and asyncpg
[positional-arguments]
bench-api *ARGUMENTS:
    @uv run python scripts/bench_api.py "$@"

# time the job queue, compared with plain asyncpg
[positional-arguments]
bench-jobs *ARGUMENTS:
    @uv run python scripts/bench_jobs.py "$@"

# time events to and from NATS, compared with bare JetStream and a bare insert
[positional-arguments]
bench-events *ARGUMENTS:
    @template/chassis/.venv/bin/python -c "from scripts import bench_events; bench_events.main()" "$@"

# time one access line, compared with a handler of the standard library
[positional-arguments]
bench-log-line *ARGUMENTS:
    @template/chassis/.venv/bin/python -c "from scripts import bench_log_line; bench_log_line.main()" "$@"
