"""What a route takes and gives: JSON, and a refusal for who sends or wants something else."""

import re

from fastapi import Request
from fastapi.datastructures import DefaultPlaceholder
from fastapi.params import Form
from fastapi.routing import APIRoute

from chassis.errors import NotAcceptable, UnsupportedMediaType
from chassis.http._request_body import is_json


async def negotiate(route: APIRoute, request: Request) -> None:
    """Raise UnsupportedMediaType for a body that is no JSON, and NotAcceptable for a caller who takes none."""
    takes_json = route.body_field and not isinstance(route.body_field.field_info, Form)
    if takes_json and not is_json(request.headers.get("content-type")) and await request.body():
        raise UnsupportedMediaType
    gives_json = isinstance(route.response_class, DefaultPlaceholder)
    if gives_json and not _accepts_json(request.headers.get("accept", "*/*")):
        raise NotAcceptable


def _accepts_json(accept: str) -> bool:
    """Find the most specific range that JSON falls into (RFC 9110, section 12.5.1); without one it is refused."""
    if accept == "*/*":
        return True
    ranges = {kind.strip().lower(): weight for kind, _, weight in (part.partition(";") for part in accept.split(","))}
    for kind in ("application/json", "application/*", "*/*"):
        if kind in ranges:
            return not re.search(r"q=0(\.0*)?\s*(;|$)", ranges[kind])
    return False
