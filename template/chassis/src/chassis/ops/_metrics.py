"""Prometheus metrics; every label has a bounded set of values."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("http_requests_total", "Answered requests.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("http_request_duration_seconds", "Time to the end of the answer.", ["method", "route"])
# An outcome is dead_lettered, done, interrupted, lost, retried or snoozed.
JOBS = Counter("jobs_total", "Runs of jobs by outcome.", ["job", "outcome"])
JOB_SECONDS = Histogram("job_duration_seconds", "Time a job ran.", ["job"])
OUTBOUND = Counter("http_client_requests_total", "Calls to others by outcome.", ["client", "outcome"])
OUTBOUND_SECONDS = Histogram("http_client_duration_seconds", "Time of a call, retries included.", ["client"])
