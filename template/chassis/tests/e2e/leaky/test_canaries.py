"""Planted secrets come to the processes by every way in, and leave them by none."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from secrets import token_hex, token_urlsafe
from urllib.parse import urlsplit

import pytest
from httpx import AsyncClient

from chassis.data import Database
from chassis.dev.spans import read_spans
from chassis.settings import Settings
from chassis.testing import Backend, Remote, Start

from tests.e2e.leaky.conftest import dsn_of, events_of
from tests.e2e.leaky.modules.leaks.api import WAYS

DEAD = "SELECT count(*) FROM chassis_jobs WHERE dead_at IS NOT NULL"
ERRORS = "SELECT string_agg(errors::text, ' ') FROM chassis_jobs"


@dataclass
class Planted:
    """The secrets by what they were planted in, and what the API answered."""

    backend: Backend
    tracker: Remote
    collector: Remote
    database: Database
    capture: pytest.CaptureFixture[str]
    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    def secret(self, name: str) -> str:
        return self.secrets.setdefault(name, f"canary-{token_hex(12)}")


async def logs(planted: Planted) -> str:
    """End both processes, and give what they have written."""
    ended = [await running.terminate() for running in (planted.backend.api, planted.backend.worker)]
    assert [status for status, _ in ended] == [0, 0]
    return "".join(text for _, text in ended)


async def metrics(planted: Planted) -> str:
    async with AsyncClient() as client:
        running = (planted.backend.api, planted.backend.worker)
        return "".join([(await client.get(f"{each.operations}/metrics")).text for each in running])


async def answers(planted: Planted) -> str:
    return "".join(planted.answers)


async def errors_of_jobs(planted: Planted) -> str:
    return str(await planted.database.fetchval(ERRORS))


async def tracked_errors(planted: Planted) -> str:
    return json.dumps(events_of(planted.tracker))


async def traces(planted: Planted) -> str:
    """Give the spans of both processes, which have ended and sent the last."""
    spans = [span for body in planted.collector.bodies for span in read_spans(body, "")]
    return " ".join(map(str, spans)) + " ".join(planted.collector.heads)


async def standard_error(planted: Planted) -> str:
    """Give what the processes have written there, since they have that of this one."""
    return planted.capture.readouterr().err


# Another place to look is one more entry. `logs` ends the processes: what is asked of them comes before it.
PLACES: list[Callable[[Planted], Awaitable[str]]] = [
    metrics,
    answers,
    errors_of_jobs,
    tracked_errors,
    logs,
    traces,
    standard_error,
]
# What shows that a place had something to hide.
SEEN: Mapping[Callable[[Planted], Awaitable[str]], tuple[str, ...]] = {
    metrics: ('route="/v1/leaks"', 'job="leaks.fail",outcome="dead_lettered"'),
    answers: ('"status":409', '"status":422', '"status":500', '"status":503', "access_token=***"),
    errors_of_jobs: ("***", "RuntimeError", "Unreadable"),
    tracked_errors: ("***", "RuntimeError", "client_secret=***"),
    standard_error: (),
    traces: ("POST /v1/leaks", "process leaks.fail", "INSERT chassis_jobs", "RuntimeError"),
    logs: (
        '"fields"',
        '"settings"',
        "refused Bearer ***",
        "https://***@example.org is old",
        "client_secret=***",
        "job dead-lettered",
    ),
}


async def test_no_planted_secret_is_in_a_log_a_trace_a_metric_an_error_or_what_is_sent_of_errors(  # noqa: PLR0913, PLR0917  # fixtures
    start: Start,
    settings: Settings,
    database: Database,
    tracker: Remote,
    collector: Remote,
    capfd: pytest.CaptureFixture[str],
) -> None:
    variables = {
        "LEAKS_KEY": f"canary-{token_hex(12)}",
        "SIGNING_KEYS": token_urlsafe(32),
        "NATS_URL": f"nats://shop:canary-{token_hex(12)}@127.0.0.1:1",
        "SENTRY_DSN": dsn_of(tracker, f"canary{token_hex(12)}"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER": "always_on",
    }
    backend = await start(
        "leaks:write notes:read",
        WORKER_MAX_ATTEMPTS="1",
        HTTP_CLIENT_ALLOWED_NETWORKS="127.0.0.0/8",
        LOG_LEVEL="debug",
        **variables,
    )
    planted = Planted(backend, tracker, collector, database, capfd)
    planted.secrets |= {
        "key in a setting": variables["LEAKS_KEY"],
        "signing key": variables["SIGNING_KEYS"],
        "password of NATS": str(urlsplit(variables["NATS_URL"]).password),
        "key of error tracking": str(urlsplit(variables["SENTRY_DSN"]).username),
        "password of the database": str(urlsplit(settings.database_url).password),
        "valid token": backend.headers["Authorization"].removeprefix("Bearer "),
    }
    await plant(planted)
    assert len(planted.secrets) >= 20
    for place in PLACES:
        text = await place(planted)
        assert [each for each in SEEN[place] if each not in text and each not in text.replace('\\"', '"')] == [], text
        assert [name for name, secret in planted.secrets.items() if secret in text] == [], place.__name__


async def plant(planted: Planted) -> None:
    secret = planted.secret
    async with AsyncClient(base_url=planted.backend.url) as client:

        async def send(method: str, path: str, headers: Mapping[str, str], body: object = None) -> None:
            answer = await client.request(method, path, headers={**planted.backend.headers, **headers}, json=body)
            if answer.is_error:
                planted.answers.append(answer.text)

        for way in WAYS:
            key = {"Idempotency-Key": f"{secret('idempotency key')}-{way}"}
            await send("POST", "/v1/leaks", key, {"way": way, "text": secret(f"body, {way}")})
        await send("GET", "/v1/leaks/1", {"Cookie": f"session={secret('cookie')}"})
        await send("GET", "/v1/leaks/1", {"X-Api-Key": secret("header"), "User-Agent": secret("agent")})
        await send("GET", "/v1/leaks/1", {"Authorization": f"Bearer {secret('invalid token')}"})
        await send("GET", "/v1/leaks/1", {"X-Request-Id": f"{secret('request id')}!", "Origin": secret("origin")})
        await send("GET", f"/v1/leaks/1?token={secret('query')}", {})
        await send("GET", f"/v1/leaks/{secret('parameter of the path')}", {})
        await send("GET", f"/hooks/{secret('path')}", {})
        await send("GET", f"/v1/notes?cursor={secret('cursor')}", {})
        await send(
            "POST", "/v1/leaks", {"Idempotency-Key": "1"}, {secret("name of a field"): secret("value of a field")}
        )
        await send("POST", "/v1/leaks", {"Idempotency-Key": f"{secret('invalid key')} x"}, {"way": "fail", "text": "x"})
    async with asyncio.timeout(30):
        while await planted.database.fetchval(DEAD) < 3:
            await asyncio.sleep(0.05)
