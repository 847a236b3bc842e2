"""The format of a key: an id that may be shown, and a secret of 256 random bits that is stored as a hash."""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

# The fixed format lets secret scanners find a leaked key.
FORMAT = re.compile(r"key_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key when it is created, the only time that its secret is known."""

    id: str = field(default_factory=lambda: "".join(secrets.choice(ALPHABET) for _ in range(12)))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def text(self) -> str:
        return f"key_{self.id}_{self.secret}"

    @property
    def hash(self) -> bytes:
        return hash_of(self.secret)


def hash_of(secret: str) -> bytes:
    """Hash a secret; with 256 random bits it needs no slow hash."""
    return sha256(secret.encode()).digest()
