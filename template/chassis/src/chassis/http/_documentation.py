"""The OpenAPI document and its pages, whose scripts come from a package: they need no other host."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from fastapi import Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from chassis.errors import NotFound
from chassis.http._policies import Public
from chassis.http._router import Router

ASSETS = {"favicon.png", "redoc.standalone.js", "swagger-ui-bundle.js", "swagger-ui.css"}
# Both pages write styles of their own into the document; ReDoc searches in a worker.
CONTENT = (
    "default-src 'none'; script-src 'self'{}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = Router("", tags=["documentation"])


@router.get("/openapi.json", response_class=JSONResponse, include_in_schema=False)
async def document(_caller: Public, request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi())


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
async def docs(_caller: Public, request: Request) -> HTMLResponse:
    return _page(
        get_swagger_ui_html(
            openapi_url="openapi.json",
            title=request.app.title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon.png",
        )
    )


@router.get("/redoc", response_class=HTMLResponse, include_in_schema=False)
async def redoc(_caller: Public, request: Request) -> HTMLResponse:
    return _page(
        get_redoc_html(
            openapi_url="openapi.json",
            title=request.app.title,
            redoc_js_url="docs/redoc.standalone.js",
            redoc_favicon_url="docs/favicon.png",
            with_google_fonts=False,
        )
    )


@router.get("/docs/{name}", response_class=FileResponse, include_in_schema=False)
async def asset(_caller: Public, name: str) -> FileResponse:
    if name not in ASSETS:
        raise NotFound
    return FileResponse(_assets() / name)


def _assets() -> Path:
    """Find the files of the package. Raises NotFound."""
    package = find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise NotFound("The pages /docs and /redoc need the package fastapi-offline; /openapi.json does not.")
    return Path(package.origin).parent / "static"


def _page(page: HTMLResponse) -> HTMLResponse:
    """Admit the files of the package, and of inline scripts only the page's own. Raises NotFound."""
    _assets()
    scripts = re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)
    hashes = (b64encode(sha256(script).digest()).decode() for script in scripts)
    page.headers["content-security-policy"] = CONTENT.format("".join(f" 'sha256-{each}'" for each in hashes))
    return page
