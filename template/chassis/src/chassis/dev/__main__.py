"""The recipes of the justfile that need more than a command: `python -m chassis.dev RECIPE`.

Each imports what it needs.
"""

import argparse
import asyncio
import logging
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from chassis.settings import StartError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chassis.dev", description="What the justfile calls.")
    parser.add_argument("recipe", choices=[*WITHOUT_DATABASE, *WITH_DATABASE])
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        if recipe := WITHOUT_DATABASE.get(options.recipe):
            recipe(options.arguments)
        else:
            from chassis.dev import environment

            with environment.prepare() as url:
                sys.exit(WITH_DATABASE[options.recipe](url, *options.arguments))
    except StartError as error:
        sys.exit(f"{options.recipe}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _setup(_arguments: Sequence[str]) -> None:
    from chassis.dev import messages, openapi
    from chassis.dev.project import project_folder, service

    if not (project_folder() / ".env").exists():
        shutil.copy(project_folder() / ".env.example", project_folder() / ".env")
    documents = [openapi.DOCUMENT]
    if service().events:
        from chassis.dev import asyncapi

        documents.append(asyncapi.DOCUMENT)
    for document in documents:
        document.write(anew=False)
    messages.write()
    names = ", ".join(document.file for document in documents)
    print(
        f"Ready. Commit uv.lock, from which pipeline and image install, {names} and {messages.FILE}. "
        "Next: uv run just dev"
    )


def _check(_arguments: Sequence[str]) -> None:
    """Lint the migrations, compare the documents with the code, and the alerts with what belongs to them."""
    from chassis.dev import squawk
    from chassis.dev.project import service

    if status := squawk.lint(service().migrations):
        sys.exit(status)
    _openapi([])
    if service().events:
        _asyncapi([])
    _messages([])
    _slos([])


def _openapi(_arguments: Sequence[str]) -> None:
    from chassis.dev import openapi

    print(openapi.check())


def _asyncapi(arguments: Sequence[str]) -> None:
    from chassis.dev import asyncapi

    if "--write" in arguments:
        asyncapi.DOCUMENT.write()
    else:
        print(asyncapi.DOCUMENT.check())


def _messages(arguments: Sequence[str]) -> None:
    from chassis.dev import messages

    if "--write" in arguments:
        messages.write()
    else:
        print(messages.check())


def _slos(arguments: Sequence[str]) -> None:
    from chassis.dev import alerts, slos

    if "--write" in arguments:
        slos.write()
    else:
        print(slos.check(), alerts.check(), sep="\n")


def _observe(_arguments: Sequence[str]) -> None:
    from chassis.dev import observe

    observe.main()


def _migration(arguments: Sequence[str]) -> None:
    from chassis.dev import revisions

    revisions.add(list(arguments))


def _renumber(arguments: Sequence[str]) -> None:
    from chassis.dev import revisions

    revisions.renumber(list(arguments))


def _manifest(_arguments: Sequence[str]) -> None:
    from chassis.dev import manifest

    print(manifest.report())


def _update(arguments: Sequence[str]) -> None:
    from chassis.dev import update

    update.main(arguments)


def _propose(_arguments: Sequence[str]) -> None:
    from chassis.dev import propose

    propose.main()


def _drop_example(_arguments: Sequence[str]) -> None:
    from chassis.dev import drop_example

    drop_example.main()


def _without_database(name: str, arguments: Sequence[str]) -> None:
    from chassis.dev import environment

    environment.set_variables()
    _command(name, "", *arguments)


def _dev(url: str) -> int:
    import structlog

    from chassis.dev import ports, reload
    from chassis.settings import Settings, load

    # The processes log for themselves.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = load(Settings)
    opened = ports.open_ports(settings)
    _command("migrate", url)
    with _events():
        return asyncio.run(reload.run(settings, opened))


def _worker(url: str) -> int:
    with _events():
        return _command("worker", url)


def _doctor(url: str) -> int:
    with _events():
        return _command("doctor", url)


def _events() -> AbstractContextManager[None]:
    """Run what the events of the service need."""
    from chassis.dev.project import service

    if not service().events:
        return nullcontext()
    from chassis.dev import nats

    return nats.development()


def _command(name: str, _url: str, *arguments: str) -> int:
    from chassis.dev.project import service

    service().main([name, *arguments])
    return 0


def _db(url: str, *arguments: str) -> int:
    from chassis.dev import postgres

    return postgres.psql(url, *arguments)


def _reset(url: str) -> int:
    from chassis.dev import environment, postgres

    environment.require_local(url)
    status = postgres.psql(url, "-q", "-c", "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return status or _command("migrate", url)


def _seed(url: str) -> int:
    from chassis.dev import environment, seeds

    environment.require_local(url)
    names = asyncio.run(seeds.plant())
    print(f"Seeded: {', '.join(names) or 'nothing, no module has seeds'}.")
    return 0


def _backup(url: str, *arguments: str) -> int:
    from chassis.dev import backup

    return backup.backup(url, *arguments)


def _restore(url: str, *arguments: str) -> int:
    from chassis.dev import backup

    return backup.restore(url, *arguments)


WITHOUT_DATABASE: Mapping[str, Callable[[Sequence[str]], None]] = {
    "setup": _setup,
    "check": _check,
    "openapi": _openapi,
    "asyncapi": _asyncapi,
    "messages": _messages,
    "slos": _slos,
    "observe": _observe,
    "migration": _migration,
    "renumber": _renumber,
    "manifest": _manifest,
    "update": _update,
    "propose": _propose,
    "drop-example": _drop_example,
    "token": partial(_without_database, "token"),
}
WITH_DATABASE: Mapping[str, Callable[..., int]] = {
    "dev": _dev,
    "api": partial(_command, "api"),
    "worker": _worker,
    "migrate": partial(_command, "migrate"),
    "doctor": _doctor,
    "jobs": partial(_command, "jobs"),
    "events": partial(_command, "events"),
    "keys": partial(_command, "keys"),
    "db": _db,
    "reset": _reset,
    "seed": _seed,
    "backup": _backup,
    "restore": _restore,
}

if __name__ == "__main__":
    main()
