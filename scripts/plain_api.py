"""The reference of `bench_api.py`: the same three requests on plain FastAPI and asyncpg, without the guarantees.

The tables, the queries and the responses are those of the example, so that what differs is what the chassis adds.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

SELECT = """
    SELECT id, reference, currency, total, status, version, created_at, updated_at, skus, quantities, unit_prices
    FROM plain_orders CROSS JOIN LATERAL (
        SELECT
            array_agg(sku ORDER BY position) AS skus,
            array_agg(quantity ORDER BY position) AS quantities,
            array_agg(unit_price ORDER BY position) AS unit_prices
        FROM plain_order_lines
        WHERE order_id = plain_orders.id
    ) AS lines
"""
GET = f"{SELECT} WHERE id = $1"
LIST = f"{SELECT} ORDER BY id DESC LIMIT 20"
INSERT = """
    INSERT INTO plain_orders (id, reference, currency, total, status, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
INSERT_LINE = "INSERT INTO plain_order_lines VALUES ($1, $2, $3, $4, $5)"
TABLES = """
    CREATE TABLE IF NOT EXISTS plain_orders (
        id uuid PRIMARY KEY, reference text NOT NULL, currency text NOT NULL, total bigint NOT NULL,
        status text NOT NULL, version integer NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
    );
    CREATE TABLE IF NOT EXISTS plain_order_lines (
        order_id uuid NOT NULL REFERENCES plain_orders, position integer NOT NULL, sku text NOT NULL,
        quantity integer NOT NULL, unit_price bigint NOT NULL, PRIMARY KEY (order_id, position)
    );
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
    currency: str
    total: int
    status: str
    version: int
    created_at: datetime
    updated_at: datetime
    lines: list[Line]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10) as pool:
        await pool.execute(TABLES)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def _order(row: asyncpg.Record) -> Order:
    lines = [
        Line(sku=sku, quantity=quantity, unit_price=unit_price)
        for sku, quantity, unit_price in zip(row["skus"], row["quantities"], row["unit_prices"], strict=True)
    ]
    return Order(
        id=row["id"],
        reference=row["reference"],
        currency=row["currency"],
        total=row["total"],
        status=row["status"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        lines=lines,
    )


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
    now = datetime.now(UTC)
    order = Order(
        id=uuid4(), total=total, status="placed", version=1, created_at=now, updated_at=now, **body.model_dump()
    )
    lines = [
        (order.id, position, line.sku, line.quantity, line.unit_price)
        for position, line in enumerate(order.lines, start=1)
    ]
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        values = order.model_dump(exclude={"lines"}).values()
        await connection.execute(INSERT, *values)
        await connection.executemany(INSERT_LINE, lines)
    return order


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["API_PORT"]), access_log=False, log_level="warning")
