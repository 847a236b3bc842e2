"""A local issuer for development and tests, whose keys are created and accepted on this machine only."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
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
    """Give the variables by which a service of this name accepts the local issuer."""
    return {"OIDC_ISSUER": ISSUER, "OIDC_AUDIENCE": service, "OIDC_DEVELOPMENT_KEYS": KEYS}


def require_development(host: str, keys: str) -> Path:
    """Give the file of the keys. Raises SettingsError unless it is named and API_HOST is a loopback address."""
    if not keys or host not in LOOPBACK:
        raise SettingsError(f"OIDC_ISSUER is wrong: {ISSUER} requires a loopback API_HOST and OIDC_DEVELOPMENT_KEYS")
    return Path(keys)


def issue(subject: str, scope: str, seconds: int) -> str:
    """Sign a token with the key that OIDC_DEVELOPMENT_KEYS names, made where there is none. Raises SettingsError."""
    audience = os.environ.get("OIDC_AUDIENCE")
    if not audience:
        raise SettingsError("OIDC_AUDIENCE is missing: a token is for one service")
    key = private_key(Path(os.environ.get("OIDC_DEVELOPMENT_KEYS") or KEYS))
    now = int(time())
    claims = {
        "iss": ISSUER,
        "aud": audience.split(",")[0],
        "sub": subject,
        "scope": scope,
        "iat": now,
        "exp": now + seconds,
    }
    headers = {"typ": "at+jwt", "kid": key["kid"]}
    return jwt.encode(claims, jwt.PyJWK(key).key, algorithm="ES256", headers=headers)


def private_key(file: Path) -> dict[str, Any]:
    """Read the key, or make one that only its owner may read; of two processes at once, one makes it."""
    if not file.exists():
        made = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made | {"kid": secrets.token_hex(8), "alg": "ES256"}), encoding="utf-8")
        try:
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return key
