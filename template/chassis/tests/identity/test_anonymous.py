"""A service without authentication: every caller may do everything, and all data belong to one principal."""

from dataclasses import replace

from httpx import AsyncClient

from chassis.data import Database
from chassis.http import connect
from chassis.jobs import Outbox
from chassis.runtime import Service
from chassis.testing import client_of


async def test_every_caller_may_do_everything(service: Service, database: Database, outbox: Outbox) -> None:
    api = replace(service, auth=None).create_api()
    connect(api, database, outbox)
    async with client_of(api) as client, client_of(api, "bob") as stranger:
        del client.headers["authorization"]
        note = await take(client)
        assert (await stranger.get(f"/v1/notes/{note['id']}")).json() == note


async def take(client: AsyncClient) -> dict[str, str]:
    taken = await client.post("/v1/notes", json={"text": "a"}, headers={"Idempotency-Key": "a"})
    note: dict[str, str] = taken.json()
    return note


def test_the_document_asks_for_no_credential(service: Service) -> None:
    document = replace(service, auth=None).create_api().openapi()
    assert "securitySchemes" not in document["components"]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert operations
    assert not any("security" in operation for operation in operations)
    assert not any({"401", "403"} & operation["responses"].keys() for operation in operations)
