"""Versions as tags: what has not changed is not sent again, and no writer overwrites another."""

import asyncio

import pytest
from httpx import AsyncClient


async def take(client: AsyncClient) -> str:
    taken = await client.post("/v1/notes", json={"text": "first"}, headers={"Idempotency-Key": "a"})
    return taken.headers["location"]


async def test_a_version_that_the_caller_has_is_not_sent_again(client: AsyncClient) -> None:
    url = await take(client)
    tag = (await client.get(url)).headers["etag"]
    assert tag == '"1"'
    for known in (tag, f"W/{tag}", f'"0", {tag}', "*"):
        answer = await client.get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    for other in ('"0"', "1", '""', "", '"1', "x" * 5000):
        assert (await client.get(url, headers={"If-None-Match": other})).status_code == 200


async def test_a_change_must_say_of_which_version(client: AsyncClient) -> None:
    url = await take(client)
    answer = await client.patch(url, json={"text": "second"})
    assert (answer.status_code, answer.json()["type"]) == (428, "urn:problem-type:precondition-required")
    assert (await client.get(url)).json()["text"] == "first"


@pytest.mark.parametrize("tag", ['"0"', '"2"', 'W/"1"', "1", "", '"1'])
async def test_a_change_of_another_version_is_refused(client: AsyncClient, tag: str) -> None:
    url = await take(client)
    answer = await client.patch(url, json={"text": "second"}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:problem-type:precondition-failed")
    assert (await client.get(url)).json()["text"] == "first"


@pytest.mark.parametrize("tag", ['"1"', '"0", "1"', "*"])
async def test_a_change_of_this_version_gives_the_next(client: AsyncClient, tag: str) -> None:
    url = await take(client)
    changed = await client.patch(url, json={"text": "second"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (await client.get(url)).headers["etag"] == '"2"'


async def test_of_many_writers_at_once_one_wins(client: AsyncClient) -> None:
    url = await take(client)
    headers = {"If-Match": '"1"'}
    answers = await asyncio.gather(*(client.patch(url, json={"text": str(n)}, headers=headers) for n in range(10)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [412] * 9
    [won] = [answer.json()["text"] for answer in answers if answer.status_code == 200]
    assert (await client.get(url)).json()["text"] == won


async def test_what_is_not_there_has_no_version(client: AsyncClient) -> None:
    missing = "/v1/notes/01890000-0000-7000-8000-000000000000"
    assert (await client.get(missing, headers={"If-None-Match": "*"})).status_code == 404
    assert (await client.patch(missing, json={"text": "a"}, headers={"If-Match": "*"})).status_code == 404
