"""Where NATS is, and how to authenticate."""

import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, SecretStr

from chassis._certificates import check_certificates
from chassis.settings import EnvironmentSettings, Seconds

# What nats-py needs of a credentials file: without a token, it reads on for ever; with another seed, it fails oddly.
CREDENTIALS = re.compile(
    r"-BEGIN NATS USER JWT-+\n[\w.-]+\n.*-BEGIN USER NKEY SEED-+\nSUA[A-Z2-7]{55}\n", re.DOTALL | re.ASCII
)


def _servers(secret: SecretStr) -> SecretStr:
    """Accept addresses of NATS; there may be several, of one cluster."""
    for text in servers_of(secret):
        parts = urlsplit(text)
        if parts.scheme not in {"nats", "tls"} or not parts.hostname or parts.port == 0:
            raise ValueError
    return secret


def read_credentials(path: Path) -> str:
    """Read a credentials file. Raises ValueError if it is malformed."""
    with suppress(OSError):
        if CREDENTIALS.search(text := path.read_text(encoding="utf-8")):
            return text
    raise ValueError


def _credentials(path: Path) -> Path:
    read_credentials(path)
    return path


def servers_of(secret: SecretStr) -> list[str]:
    """Split the URL into server addresses."""
    return [text.strip() for text in secret.get_secret_value().split(",") if text.strip()]


class NatsSettings(EnvironmentSettings):
    nats_url: Annotated[SecretStr, Field(min_length=1), AfterValidator(_servers)] = Field(
        description="nats:// or tls://user:password@host:port, comma-separated for a cluster"
    )
    nats_credentials: Annotated[FilePath, AfterValidator(_credentials)] | None = Field(
        None, description="path of a credentials file (.creds), with the token and the seed of a user"
    )
    nats_tls_ca: Annotated[FilePath, AfterValidator(check_certificates)] | None = Field(
        None, description="path of the certificates that sign the server's (PEM), if the system does not trust them"
    )
    nats_replicas: int = Field(1, ge=1, le=5, description="replicas of a stream that the worker creates, 1 to 5")
    nats_timeout: Seconds = Field(2, description="seconds to wait for NATS")

    def tls(self) -> ssl.SSLContext | None:
        """Return the context for an encrypted connection, or None if neither an address nor a CA asks for one."""
        if not self.nats_tls_ca and not any(text.startswith("tls:") for text in servers_of(self.nats_url)):
            return None
        return ssl.create_default_context(cafile=self.nats_tls_ca)
