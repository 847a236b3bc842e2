"""Every row committed before the first page is seen exactly once."""

from typing import Annotated
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from chassis.http import PageRequest, Router, requires
from chassis.http._pagination import MAX_PAGE
from chassis.identity import Principal


async def take(client: AsyncClient, *texts: str) -> None:
    for text in texts:
        await client.post("/v1/notes", json={"text": text}, headers={"Idempotency-Key": str(uuid4())})


async def walk(client: AsyncClient, limit: int) -> list[str]:
    texts: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get("/v1/notes", params={"limit": limit} | ({"cursor": cursor} if cursor else {}))).json()
        assert len(page["items"]) <= limit
        texts += [item["text"] for item in page["items"]]
        await take(client, "meanwhile")
        cursor = page["next_cursor"]
    return texts


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_a_walk_sees_each_row_once_whatever_is_inserted_meanwhile(client: AsyncClient, limit: int) -> None:
    await take(client, *"abcde")
    assert await walk(client, limit) == list("edcba")


async def test_an_empty_list_is_one_empty_page(client: AsyncClient) -> None:
    assert (await client.get("/v1/notes")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("limit", [0, -1, MAX_PAGE + 1, 2**64, "x"])
async def test_the_size_of_a_page_has_limits(client: AsyncClient, limit: object) -> None:
    assert (await client.get("/v1/notes", params={"limit": str(limit)})).status_code == 422


async def test_a_cursor_is_for_its_reader(client: AsyncClient, stranger: AsyncClient) -> None:
    await take(client, *"abc")
    cursor = await first_cursor(client)
    assert (await client.get("/v1/notes", params={"limit": 2, "cursor": cursor})).status_code == 200
    assert (await stranger.get("/v1/notes", params={"cursor": cursor})).status_code == 400


async def test_a_cursor_is_for_its_list(api: FastAPI, client: AsyncClient) -> None:
    other = Router("/v1/others", tags=["others"])

    @other.get("")
    async def others(_caller: Annotated[Principal, requires("notes:read")], page: PageRequest) -> bool:
        return page.before is not None

    api.include_router(other)
    await take(client, *"abc")
    answer = await client.get("/v1/others", params={"cursor": await first_cursor(client)})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem-type:cursor-invalid")


async def test_a_cursor_that_was_touched_is_refused(client: AsyncClient) -> None:
    await take(client, *"abc")
    cursor = await first_cursor(client)
    for place, letter in enumerate(cursor):
        touched = cursor[:place] + ("B" if letter == "A" else "A") + cursor[place + 1 :]
        answer = await client.get("/v1/notes", params={"cursor": touched})
        assert (answer.status_code, touched in answer.text) == (400, False), place


@pytest.mark.parametrize("cursor", ["", "a", "%", "äöü", "A" * 22, "A" * 43, "A" * 44, "A" * 5000, "\x00"])
async def test_a_cursor_that_is_not_ours_is_refused(client: AsyncClient, cursor: str) -> None:
    assert (await client.get("/v1/notes", params={"cursor": cursor})).status_code == 400


async def test_a_cursor_outlives_a_change_of_keys_as_long_as_its_own_is_kept(api: FastAPI, client: AsyncClient) -> None:
    await take(client, *"abc")
    cursor = await first_cursor(client)
    api.state.signing_keys = [b"new", *api.state.signing_keys]
    assert (await client.get("/v1/notes", params={"cursor": cursor})).status_code == 200
    assert await first_cursor(client) != cursor
    api.state.signing_keys = [b"new"]
    assert (await client.get("/v1/notes", params={"cursor": cursor})).status_code == 400


async def first_cursor(client: AsyncClient) -> str:
    cursor: str = (await client.get("/v1/notes", params={"limit": 1})).json()["next_cursor"]
    return cursor
