"""Error responses of the operations port."""

from starlette.responses import JSONResponse, Response

from chassis.errors import Error


def problem(error: Error) -> Response:
    content = {"type": error.type, "title": error.title, "status": error.status, "detail": error.detail}
    return JSONResponse(content, error.status, error.headers(), "application/problem+json")
