"""Each route of orders has a budget of statements, however many orders and lines it answers with."""

from collections.abc import Sequence
from typing import Any

import pytest
from httpx import AsyncClient

from tests.modules.orders.test_api import new_key, order, place

type Sent = tuple[str, str, dict[str, Any]]

# A POST claims its key, inserts, records, queues and stores the answer; a change locks and writes.
BUDGETS: Sequence[tuple[Sent, int]] = [
    (("POST", "", {"json": order(), "headers": new_key()}), 5),
    (("POST", "/export", {"headers": new_key()}), 5),
    (("GET", "", {}), 1),
    (("GET", "/{id}", {}), 1),
    (("GET", "/{id}/history", {}), 2),
    (("PATCH", "/{id}", {"json": {"reference": "B-2"}, "headers": {"If-Match": "*"}}), 2),
    (("POST", "/{id}/cancel", {}), 4),
]


@pytest.mark.parametrize(("sent", "budget"), BUDGETS)
async def test_a_route_keeps_to_its_budget(client: AsyncClient, statements: list[str], sent: Sent, budget: int) -> None:
    method, path, options = sent
    placed = [await place(client) for _ in range(5)]
    statements.clear()
    answer = await client.request(method, "/v1/orders" + path.format(id=placed[0]["id"]), **options)
    assert answer.is_success
    assert len(statements) <= budget
