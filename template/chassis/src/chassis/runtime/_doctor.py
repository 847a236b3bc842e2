"""The command `doctor`: checks what a service needs, and prints a line on each."""

import asyncio
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

import httpx

from chassis.data import check_database, check_listening, check_migrations, reason_of
from chassis.errors import Unavailable
from chassis.ops import Check, TelemetrySettings, error_tracking, load_exporter, redact, run
from chassis.outbound import reason_of as reason_of_call
from chassis.runtime._definition import ServiceDefinition
from chassis.settings import Settings, SettingsError, StartError, load

LIMIT_SECONDS = 5.0


class CollectorUnavailable(StartError):
    """No HTTP server answers at the address of the collector."""


def main(service: ServiceDefinition) -> int:
    """Print a line on each check. Return the exit status: 1 if one fails."""
    wrong = list(_wrong_settings(service))
    lines = [(False, "settings", problem) for problem in wrong] or [(True, "settings", "all are valid")]

    async def check() -> None:
        checks = _checks_of(service)
        lines.extend(await asyncio.gather(*(_line(name, each, wrong) for name, each in checks.items())))

    run(check())
    for is_ok, name, text in lines:
        print(f"{'ok' if is_ok else 'FAIL':4} {name:10} {redact(text)}")  # noqa: T201  # the output of a command
    return 0 if all(is_ok for is_ok, *_ in lines) else 1


def _wrong_settings(service: ServiceDefinition) -> Iterator[str]:
    for kind in service.settings:
        try:
            load(kind)
        except SettingsError as error:
            yield from error.args


def _checks_of(service: ServiceDefinition) -> Mapping[str, Check]:
    checks: dict[str, Check] = {
        "database": lambda: check_database(load(Settings)),
        "migrations": lambda: check_migrations(load(Settings), service.migrations),
        "listening": lambda: check_listening(load(Settings)),
    }
    checks |= service.auth.checks if service.auth else {}
    if service.events:
        checks |= {name: partial(check, service.name) for name, check in service.events.checks.items()}
    with suppress(SettingsError):  # which has a line of its own
        if load(TelemetrySettings).is_on:
            checks["collector"] = check_collector
    with suppress(SettingsError):
        if load(Settings).sentry_dsn.get_secret_value():
            checks["sentry"] = check_error_tracking
    return checks


async def check_collector() -> str:
    """Check that something answers HTTP, with any status. Raises CollectorUnavailable or SettingsError."""
    load_exporter()
    url = load(TelemetrySettings).endpoint
    try:
        verify = ssl.create_default_context(cafile=os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE"))
        async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=2) as client:
            await client.head(url)
    except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise CollectorUnavailable(f"{reason_of_call(error)}: check OTEL_EXPORTER_OTLP_ENDPOINT") from error
    return f"{urlsplit(url).hostname} answers"


async def check_error_tracking() -> str:
    """Check what can be checked without an event. Raises SettingsError."""
    error_tracking(load(Settings), "")
    return "SENTRY_DSN can be used"


async def _line(name: str, check: Check, wrong: Sequence[str]) -> tuple[bool, str, str]:
    """Run one check, and never raise."""
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            return True, name, await check()
    except SettingsError as error:
        is_known = set(error.args) <= set(wrong)
        return False, name, "not checked: correct the settings first" if is_known else str(error)
    except Unavailable as error:
        return False, name, f"the database is unavailable: {reason_of(error.__cause__ or error)}"
    except TimeoutError:
        return False, name, "no answer in time: check the address and the network"
    except StartError as error:
        return False, name, str(error)
    except Exception as error:  # noqa: BLE001  # its message may have a secret
        return False, name, f"unexpected {type(error).__name__}"
