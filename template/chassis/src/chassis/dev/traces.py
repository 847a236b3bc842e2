"""Recent traces of development: takes spans from both processes by OTLP, and shows them on a page."""

import os
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager

from google.protobuf.message import DecodeError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from chassis.dev.ports import free_port
from chassis.dev.spans import ReceivedSpan, read_spans
from chassis.dev.traces_page import render
from chassis.http import serving
from chassis.ops import TelemetrySettings
from chassis.settings import load

MAX_TRACES, MAX_SPANS = 50, 500
PORT = 8003
# Record every trace, and export it within 200 ms.
VARIABLES = {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": "200"}


class Traces:
    """Recent traces by their ids, those with the newest spans last; of a long trace, its newest spans."""

    def __init__(self) -> None:
        self._spans: OrderedDict[str, deque[ReceivedSpan]] = OrderedDict()

    def add(self, spans: Iterable[ReceivedSpan]) -> None:
        for span in spans:
            self._spans.setdefault(span.trace_id, deque(maxlen=MAX_SPANS)).append(span)
            self._spans.move_to_end(span.trace_id)
        while len(self._spans) > MAX_TRACES:
            self._spans.popitem(last=False)

    def __iter__(self) -> Iterator[Sequence[ReceivedSpan]]:
        """Give each trace, the newest first."""
        return iter([*reversed(self._spans.values())])

    def application(self) -> Starlette:
        """Create the application that takes spans and shows them."""

        async def receive(request: Request) -> Response:
            try:
                self.add(read_spans(await request.body(), request.headers.get("content-encoding", "")))
            except (DecodeError, OSError):
                return Response(status_code=400)
            return Response(media_type="application/x-protobuf")

        async def show(_request: Request) -> Response:
            return HTMLResponse(
                render(self), headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
            )

        return Starlette(routes=[Route("/", show), Route("/v1/traces", receive, methods=["POST"])])


@asynccontextmanager
async def collecting() -> AsyncGenerator[str]:
    """Collect the spans of processes that are started in the block, and give the address of the page.

    It is empty where spans go elsewhere, by OTEL_EXPORTER_OTLP_ENDPOINT.
    """
    settings = load(TelemetrySettings)
    if settings.is_on or settings.otel_sdk_disabled:
        yield ""
        return
    port = free_port(PORT)
    url = f"http://127.0.0.1:{port}"
    for name, value in {**VARIABLES, "OTEL_EXPORTER_OTLP_ENDPOINT": url}.items():
        os.environ.setdefault(name, value)
    async with serving(Traces().application(), ("127.0.0.1", port), 1, ("", "")):
        yield url
