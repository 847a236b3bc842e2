"""Prometheus metrics; every label has a bounded set of values."""

from functools import cache
from math import nan

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from chassis.ops._tracing import is_recorded, trace_id

disable_created_metrics()  # type: ignore[no-untyped-call]  # has no types

# Of an unknown method, as in the semantic conventions of OpenTelemetry, and of a path without a route.
OTHER, UNMATCHED = "_OTHER", "unmatched"
# The SLOs in ops/slos.toml need the buckets 0.1 (requests) and 30 (waits).
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
JOB_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
WAIT_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
BODY_BUCKETS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

REQUESTS = Counter("http_requests_total", "Answered requests.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds", "Time to the end of the answer.", ["method", "route"], buckets=REQUEST_BUCKETS
)
REQUESTS_IN_FLIGHT = Gauge("http_requests_in_flight", "Requests that are not answered yet.")
BODY_BYTES = Histogram(
    "http_request_body_bytes", "Sizes of the bodies that were read.", ["method", "route"], buckets=BODY_BUCKETS
)
CONNECTIONS = Gauge("database_connections", "Open connections of the pool.", ["state"])
CONNECTIONS_MAX = Gauge("database_connections_max", "Connections that the pool may open.")
CONNECTION_WAIT = Histogram(
    "database_connection_wait_seconds", "Seconds until acquiring a connection succeeded or failed.", buckets=LAG_BUCKETS
)
DATABASE_AVAILABLE = Gauge("database_available", "0 during an outage, else 1.")
# An outcome is dead_lettered, done, interrupted, lost, retried or snoozed.
JOBS = Counter("jobs_total", "Runs of jobs by outcome.", ["job", "outcome"])
JOB_SECONDS = Histogram("job_duration_seconds", "Time a job ran.", ["job"], buckets=JOB_BUCKETS)
JOB_WAIT = Histogram("job_wait_seconds", "Time from due to start.", ["job"], buckets=WAIT_BUCKETS)
JOBS_WAITING = Gauge("jobs_waiting", "Due jobs that have not started.", ["job"])
JOBS_RUNNING = Gauge("jobs_running", "Jobs that a worker has claimed.", ["job"])
JOBS_OLDEST_AGE = Gauge("jobs_oldest_age_seconds", "For how long the oldest job has been due.", ["job"])
JOBS_DEAD_LETTERS = Gauge("jobs_dead_letters", "Dead letters.", ["job"])
SCHEDULE_LAG = Gauge("schedule_lag_seconds", "For how long a schedule has been due without a tick.", ["schedule"])
OF_JOBS = {
    "waiting": JOBS_WAITING,
    "running": JOBS_RUNNING,
    "oldest_age": JOBS_OLDEST_AGE,
    "dead_letters": JOBS_DEAD_LETTERS,
}
EVENTS_PUBLISHED = Counter("events_published_total", "Integration events that their stream has acknowledged.")
EVENTS_UNPUBLISHED_AGE = Gauge("events_unpublished_age_seconds", "Age of the oldest event that is not published.")
EVENTS_UNPUBLISHED_AGE.set(nan)  # until it is known
EVENTS_RECEIVED = Counter("events_received_total", "Events of other services that became jobs.", ["job"])
EVENTS_REPEATED = Counter("events_repeated_total", "Events that had been received before.", ["job"])
EVENTS_LAG = Gauge("events_lag", "Events in the stream that are not received yet.", ["job"])
OUTBOUND = Counter("http_client_requests_total", "Calls to others by outcome.", ["client", "outcome"])
OUTBOUND_SECONDS = Histogram("http_client_duration_seconds", "Time of a call, retries included.", ["client"])
KEY_FETCHES = Counter("oidc_key_fetches_total", "Fetches of the issuer's keys by outcome.", ["outcome"])
EVENT_LOOP_LAG = Histogram("event_loop_lag_seconds", "How late a timer fires.", buckets=LAG_BUCKETS)
BUILD = Gauge("build_info", "What runs.", ["version", "revision", "chassis", "python"])

# Cached: looking up a series costs more than incrementing it.
_requests = cache(REQUESTS.labels)
_request_seconds = cache(REQUEST_SECONDS.labels)
_body_bytes = cache(BODY_BYTES.labels)


def exemplar() -> dict[str, str] | None:
    """Return the exemplar for the current trace, if it is recorded."""
    return {"trace_id": trace_id.get()} if is_recorded() else None


def count_request(method: str, route: str, status: int, seconds: float, body_bytes: int | None) -> None:
    """Count a request; `method` is known or OTHER, and `route` is a template or UNMATCHED."""
    example = exemplar()
    _requests(method, route, status).inc(1, example)
    _request_seconds(method, route).observe(seconds, example)
    if body_bytes is not None:
        _body_bytes(method, route).observe(body_bytes)


def exposition(accept: str) -> tuple[bytes, str]:
    """Return all metrics and their media type; only OpenMetrics, which a caller has to ask for, has exemplars."""
    encode, media_type = choose_encoder(accept)
    return encode(REGISTRY), media_type
