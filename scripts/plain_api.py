"""The reference of `bench_api.py`: the same three requests on plain FastAPI and asyncpg, without the guarantees."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

GET = "SELECT id, reference, total, created_at, lines FROM plain_orders WHERE id = $1"
LIST = "SELECT id, reference, total, created_at, lines FROM plain_orders ORDER BY id DESC LIMIT 20"
INSERT = "INSERT INTO plain_orders (id, reference, total, created_at, lines) VALUES ($1, $2, $3, $4, $5)"
TABLE = """
    CREATE TABLE IF NOT EXISTS plain_orders (
        id uuid PRIMARY KEY, reference text NOT NULL, total bigint NOT NULL, created_at timestamptz NOT NULL,
        lines jsonb NOT NULL
    )
"""


class Line(BaseModel):
    sku: str
    quantity: int
    unit_price: int


class PlaceOrder(BaseModel):
    reference: str
    currency: str
    lines: list[Line]


class Order(BaseModel):
    id: UUID
    reference: str
    total: int
    created_at: datetime
    lines: list[Line]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10) as pool:
        await pool.execute(TABLE)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def _order(row: asyncpg.Record) -> Order:
    return Order(**{**row, "lines": json.loads(row["lines"])})


@app.get("/orders/{order_id}")
async def get(order_id: UUID, request: Request) -> Order:
    row = await request.app.state.pool.fetchrow(GET, order_id)
    if row is None:
        raise HTTPException(404)
    return _order(row)


@app.get("/orders")
async def list_orders(request: Request) -> list[Order]:
    return [_order(row) for row in await request.app.state.pool.fetch(LIST)]


@app.post("/orders", status_code=201)
async def place(body: PlaceOrder, request: Request) -> Order:
    total = sum(line.quantity * line.unit_price for line in body.lines)
    order = Order(id=uuid4(), reference=body.reference, total=total, created_at=datetime.now(UTC), lines=body.lines)
    lines = json.dumps([line.model_dump() for line in body.lines])
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(INSERT, order.id, order.reference, order.total, order.created_at, lines)
    return order


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["API_PORT"]), access_log=False, log_level="warning")
