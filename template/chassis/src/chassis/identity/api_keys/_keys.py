"""What a key looks like: an id that may be shown, and a secret of 256 random bits that is kept as its hash."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Self

# The shape lets scanners find a key that leaked; what does not have it is not looked up.
SHAPE = re.compile(r"key_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key when it is made, the only time that its secret is known."""

    id: str
    secret: str

    @classmethod
    def make(cls) -> Self:
        return cls("".join(secrets.choice(ALPHABET) for _ in range(12)), secrets.token_urlsafe(32))

    @property
    def text(self) -> str:
        return f"key_{self.id}_{self.secret}"

    @property
    def hash(self) -> bytes:
        return hash_of(self.secret)


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key; a random secret of 256 bits needs no slow hash."""

    id: str
    hash: bytes
    subject: str
    scopes: Sequence[str]
    is_seldom_used: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A key as people see it."""

    id: str
    subject: str
    scopes: Sequence[str]
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def __str__(self) -> str:
        used = f"used {self.last_used_at:%Y-%m-%d}" if self.last_used_at else "never used"
        until = f"revoked {self.revoked_at:%Y-%m-%d}" if self.revoked_at else f"until {self.expires_at:%Y-%m-%d}"
        return f"{self.id}  {self.subject}  {' '.join(self.scopes) or 'no scope'}  {until}  {used}"


def split(text: str) -> tuple[str, str]:
    """Split a key into its id and its secret; both are empty for an invalid key."""
    found = SHAPE.fullmatch(text)
    return (found[1], found[2]) if found else ("", "")


def hash_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
