"""Calls the service at COURIER_URL."""

import os

from chassis.jobs import Job, handle_without_transaction
from chassis.outbound import HttpClient

from tests.sample.modules.notes.messages import NoteTaken

READ = "SELECT text FROM notes WHERE id = $1"


async def deliver(taken: NoteTaken, job: Job) -> None:
    async with job.transaction() as transaction:
        text = await transaction.connection.fetchval(READ, taken.note_id)
    client = HttpClient("parcels", os.environ["COURIER_URL"])
    await client.request("POST", "/parcels", json={"text": text}, idempotency_key=job.key_for("deliver"))


HANDLERS = [handle_without_transaction(NoteTaken, deliver)]
