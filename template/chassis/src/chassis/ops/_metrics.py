"""Prometheus metrics; every label has a bounded set of values."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("http_requests_total", "Answered requests.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("http_request_duration_seconds", "Time to the end of the answer.", ["method", "route"])
# An outcome is dead_lettered, done, interrupted, lost, retried or snoozed.
JOBS = Counter("jobs_total", "Runs of jobs by outcome.", ["job", "outcome"])
JOB_SECONDS = Histogram("job_duration_seconds", "Time a job ran.", ["job"])
EVENTS_PUBLISHED = Counter("events_published_total", "Integration events that their stream has acknowledged.")
EVENTS_UNPUBLISHED_AGE = Gauge("events_unpublished_age_seconds", "Age of the oldest event that is not published.")
EVENTS_RECEIVED = Counter("events_received_total", "Events of other services that became jobs.", ["job"])
EVENTS_REPEATED = Counter("events_repeated_total", "Events that had been received before.", ["job"])
EVENTS_LAG = Gauge("events_lag", "Events in the stream that are not received yet.", ["job"])
OUTBOUND = Counter("http_client_requests_total", "Calls to others by outcome.", ["client", "outcome"])
OUTBOUND_SECONDS = Histogram("http_client_duration_seconds", "Time of a call, retries included.", ["client"])
