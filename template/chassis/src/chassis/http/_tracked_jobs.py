"""Tracked jobs over HTTP: an API has this route if one of its modules has a tracked task."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.http._openapi import SUCCESS, Responses, raises, sends
from chassis.http._policies import requires
from chassis.http._router import Router
from chassis.http._transactions import Reading
from chassis.identity import Principal
from chassis.jobs import JobNotFound, JobStatus, TrackedJob, tracking

router = Router("/v1/jobs", tags=["jobs"])
OPERATION = "jobs_get"

type Caller = Annotated[Principal, requires()]

EXAMPLE: dict[str, Any] = {
    "id": "0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b",
    "status": "succeeded",
    "done": 1200,
    "total": 1200,
    "result": "/v1/invoices/exports/0198d0b6-79d5-7c5e-a1d5-0e2f5c2f3a4b",
    "created_at": "2026-01-31T12:00:00Z",
}


class JobView(BaseModel):
    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    status: JobStatus
    done: int
    total: int | None = Field(description="Null while it is unknown.")
    result: str | None = Field(description="The URL of the result, once there is one.")
    created_at: datetime


# For a route that returns `accepted(...)`: `status_code=202, responses=ACCEPTED`.
ACCEPTED: Responses = sends("Location")
ACCEPTED[SUCCESS]["links"] = {OPERATION: {"operationId": OPERATION, "parameters": {"job_id": "$response.body#/id"}}}


def accepted(job: TrackedJob, response: Response) -> JobView:
    """Return the job that a request has started, with its URL in `Location`."""
    response.headers["location"] = f"{router.prefix}/{job.id}"
    return JobView.model_validate(job)


@router.get("/{job_id}", summary="Get the progress of a job", operation_id=OPERATION, responses=raises(JobNotFound))
async def get(job_id: UUID, caller: Caller, connection: Reading) -> JobView:
    return JobView.model_validate(await tracking.get(connection, caller.subject, job_id))
