"""A local issuer for development and tests, whose keys are created and accepted on this machine only."""

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from chassis.settings import SettingsError

ISSUER = "urn:development"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
KEYS = ".dev/issuer.json"


def variables(service: str) -> Mapping[str, str]:
    """Return the environment variables with which a service of this name accepts the local issuer."""
    return {"OIDC_ISSUER": ISSUER, "OIDC_AUDIENCE": service, "OIDC_DEVELOPMENT_KEYS": KEYS}


def issue(subject: str, scope: str, seconds: int) -> str:
    """Sign a token with the key in the file OIDC_DEVELOPMENT_KEYS, created if missing. Raises SettingsError."""
    audience = os.environ.get("OIDC_AUDIENCE", "").split(",")[0]
    if not audience:
        raise SettingsError("OIDC_AUDIENCE is missing: a token is for one service")
    key = private_key(Path(os.environ.get("OIDC_DEVELOPMENT_KEYS") or KEYS))
    now = int(time())
    claims = {"iss": ISSUER, "aud": audience, "sub": subject, "scope": scope, "iat": now, "exp": now + seconds}
    headers = {"typ": "at+jwt", "kid": key["kid"]}
    return jwt.encode(claims, jwt.PyJWK(key).key, algorithm="ES256", headers=headers)


def private_key(file: Path) -> dict[str, Any]:
    """Read the key, or create one that only its owner may read; of concurrent processes, one creates it."""
    if not file.exists():
        made = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        # A temporary file has mode 0600.
        with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete_on_close=False) as draft:
            json.dump(made | {"kid": secrets.token_hex(8), "alg": "ES256"}, draft)
            draft.close()
            with suppress(FileExistsError):
                os.link(draft.name, file)
    key: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return key
