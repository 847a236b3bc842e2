"""Where NATS is, and what its stream is called."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from chassis.settings import EnvironmentSettings, Seconds


def _servers(secret: SecretStr) -> SecretStr:
    """Refuse an address of another scheme; there may be several, of one cluster."""
    for text in servers_of(secret):
        parts = urlsplit(text)
        if parts.scheme not in {"nats", "tls"} or not parts.hostname:
            raise ValueError
    return secret


def servers_of(secret: SecretStr) -> list[str]:
    """Split the URL into server addresses."""
    return [text.strip() for text in secret.get_secret_value().split(",") if text.strip()]


class NatsSettings(EnvironmentSettings):
    nats_url: Annotated[SecretStr, AfterValidator(_servers)] = Field(
        SecretStr(""),
        description="nats://user:password@host:port, comma-separated for a cluster; empty publishes no events",
    )
    nats_stream: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_-]{0,100}$",
        description="prefix of subjects and stream (letters, digits, - and _); empty uses the name of the service",
    )
    nats_replicas: int = Field(1, ge=1, le=5, description="replicas of a new stream, 1 to 5")
    nats_timeout: Seconds = Field(2, description="seconds to wait for NATS")
