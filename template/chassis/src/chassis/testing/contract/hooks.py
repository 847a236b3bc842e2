"""Gives each request a valid Idempotency-Key of its own: a reused one is refused, as other tests see."""

import re
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _options: dict[str, Any]) -> None:
    key = case.headers.get("idempotency-key")
    if isinstance(key, str) and re.fullmatch("[!#-~][!-~]{0,254}", key):
        case.headers["idempotency-key"] = f"{key[:200]}-{case.id}"
