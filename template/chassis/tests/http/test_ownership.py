"""What belongs to another answers as what is not there: by path, in lists, by cursor and by idempotency key."""

from typing import Any

import pytest
from httpx import AsyncClient, Response

MISSING = "01890000-0000-7000-8000-000000000000"
ROUTES = [("GET", None), ("PATCH", {"text": "mine now"})]


async def take(client: AsyncClient, key: str = "a") -> dict[str, Any]:
    answer = await client.post("/v1/notes", json={"text": "secret"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 201
    taken: dict[str, Any] = answer.json()
    return taken


def comparable(answer: Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Give all of an answer that does not differ from request to request."""
    ids = {"request_id", "trace_id", "x-request-id"}
    body = {name: value for name, value in answer.json().items() if name not in ids}
    return answer.status_code, body, {name: value for name, value in answer.headers.items() if name not in ids}


@pytest.mark.parametrize(("method", "body"), ROUTES)
@pytest.mark.parametrize("headers", [{}, {"If-Match": '"1"'}, {"If-Match": '"7"'}, {"If-None-Match": "*"}])
async def test_anothers_note_answers_as_one_that_is_missing(
    client: AsyncClient, stranger: AsyncClient, method: str, body: object, headers: dict[str, str]
) -> None:
    note = await take(client)
    foreign = await stranger.request(method, f"/v1/notes/{note['id']}", json=body, headers=headers)
    missing = await stranger.request(method, f"/v1/notes/{MISSING}", json=body, headers=headers)
    assert comparable(foreign) == comparable(missing)
    assert foreign.status_code == 404
    assert (await client.get(f"/v1/notes/{note['id']}")).json() == note


async def test_a_list_holds_what_is_the_callers_own(client: AsyncClient, stranger: AsyncClient) -> None:
    own, other = await take(client), await take(stranger)
    assert [note["id"] for note in (await client.get("/v1/notes")).json()["items"]] == [own["id"]]
    assert [note["id"] for note in (await stranger.get("/v1/notes")).json()["items"]] == [other["id"]]


async def test_anothers_cursor_and_key_are_of_no_use(client: AsyncClient, stranger: AsyncClient) -> None:
    note, _ = await take(client, "a"), await take(client, "b")
    cursor = (await client.get("/v1/notes", params={"limit": 1})).json()["next_cursor"]
    assert (await stranger.get("/v1/notes", params={"cursor": cursor})).status_code == 400
    assert (await take(stranger, "a"))["id"] != note["id"]


@pytest.mark.parametrize("field", ["owner", "id", "version", "subject"])
async def test_no_caller_chooses_the_owner_of_a_note(client: AsyncClient, field: str) -> None:
    note = await take(client)
    body = {"text": "a", field: "bob"}
    assert (await client.post("/v1/notes", json=body, headers={"Idempotency-Key": "b"})).status_code == 422
    headers = {"If-Match": '"1"'}
    assert (await client.patch(f"/v1/notes/{note['id']}", json=body, headers=headers)).status_code == 422
