"""Both processes, from a request over a job to a clean end."""

import asyncio
import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version

from httpx import AsyncClient

from chassis.testing import Start


async def test_a_note_is_counted_by_the_worker_and_both_end_cleanly(start: Start) -> None:
    backend = await start("notes:read notes:write")
    async with AsyncClient(base_url=backend.url, headers=backend.headers) as client, asyncio.timeout(20):
        headers = {"X-Request-Id": "from-the-caller", "Idempotency-Key": "1"}
        taken = (await client.post("/v1/notes", json={"text": "hello"}, headers=headers)).json()
        while (await client.get(f"/v1/notes/{taken['id']}")).json()["counted"] == 0:
            await asyncio.sleep(0.05)

    async with AsyncClient() as client:
        metrics = (await client.get(f"{backend.worker.operations}/metrics")).text
    assert 'jobs_total{job="notes.count",outcome="done"} 1.0' in metrics

    for running in (backend.api, backend.worker):
        status, logged = await running.terminate()
        assert status == 0
        lines = [json.loads(line) for line in logged.splitlines()]
        assert "from-the-caller" in {line.get("request_id") for line in lines}


async def test_a_process_says_what_it_is_built_from_and_when_it_started(start: Start) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    backend = await start("notes:read", REVISION="4f2a")
    async with AsyncClient() as client:
        for process, running in (("api", backend.api), ("worker", backend.worker)):
            info = (await client.get(f"{running.operations}/info")).json()
            assert began <= datetime.fromisoformat(info.pop("started_at")) <= datetime.now(UTC)
            assert info == {
                "service": "sample",
                "process": process,
                "version": "0",
                "revision": "4f2a",
                "chassis": version("copier-backend-chassis"),
                "python": platform.python_version(),
            }


async def test_a_request_that_has_arrived_is_answered_though_the_process_was_told_to_end(start: Start) -> None:
    backend = await start("notes:read notes:write")
    body = json.dumps({"text": "hello"}).encode()
    fields = {"Host": "test", "Idempotency-Key": "1", "Content-Type": "application/json", **backend.headers}
    headers = "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + f"Content-Length: {len(body)}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(backend.url.rpartition(":")[2]))
    writer.write(f"POST /v1/notes HTTP/1.1\r\n{headers}\r\n".encode() + body[:5])
    await asyncio.sleep(0.3)
    ending = asyncio.create_task(backend.api.terminate())
    await asyncio.sleep(1)
    writer.write(body[5:])
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 201")
    assert (await ending)[0] == 0
