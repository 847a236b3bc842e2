"""Settings, read from the environment or from mounted files."""

import os
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AnyUrl,
    BeforeValidator,
    Field,
    SecretBytes,
    SecretStr,
    UrlConstraints,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSettingsError

type Port = Annotated[int, Field(ge=1, le=65535)]
type DatabaseUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["postgresql", "postgres"], host_required=True)]
type Seconds = Annotated[float, Field(gt=0, le=3600)]


def _rate(text: str) -> str:
    """Read what is no empty text as the one rate that it must be."""
    from limits import parse_many  # noqa: PLC0415  # the worker does without

    if text and len(parse_many(text)) != 1:
        raise ValueError
    return text


def _address(secret: SecretStr, schemes: tuple[str, ...]) -> SecretStr:
    """Refuse an address of another scheme; it may hold a password, so it is kept as a secret."""
    if text := secret.get_secret_value():
        parts = urlsplit(text)
        if parts.scheme not in schemes or not (parts.hostname or parts.path):
            raise ValueError
    return secret


def _networks(text: str) -> str:
    for network in text.split(",") if text else ():
        ip_network(network.strip())
    return text


type Rate = Annotated[str, AfterValidator(_rate)]
type RedisUrl = Annotated[SecretStr, AfterValidator(partial(_address, schemes=("redis", "rediss", "unix")))]
# An address of a kind that often holds a password or a token.
type SecretHttpUrl = Annotated[SecretStr, AfterValidator(partial(_address, schemes=("http", "https")))]
type Networks = Annotated[str, AfterValidator(_networks)]


class StartError(Exception):
    """What ends a start before it has begun; the message is one line that says what to mend."""


class SettingsError(StartError):
    """A variable is missing or wrong; the message names it and what it accepts."""


class EnvironmentSettings(BaseSettings):
    """What a settings class derives from; each field's description says what the variable accepts."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")


class Settings(EnvironmentSettings):
    database_url: DatabaseUrl = Field(description="postgresql://user:password@host:port/name")
    database_pool_size: int = Field(
        10, ge=2, le=1000, description="maximum number of connections of the API, 2 to 1000"
    )
    database_connect_timeout: Seconds = Field(2, description="seconds to open a connection")
    database_pool_timeout: Seconds = Field(2, description="seconds to acquire a connection from the pool")
    database_statement_timeout: Seconds = Field(3, description="seconds a statement may run")
    database_idle_timeout: Seconds = Field(10, description="seconds a transaction may stay idle between statements")

    api_host: str = Field("127.0.0.1", description="address the API listens on")
    api_port: Port = Field(8000, description="public port of the API, 1 to 65535")
    api_docs: bool = Field(default=False, description="true serves /docs, /redoc and /openapi.json")
    api_operations_port: Port = Field(8001, description="port for /livez, /readyz and /metrics of the API, 1 to 65535")
    rate_limit_per_address: Rate = Field(
        "1200/minute", description="requests per client IP, for example 20/second; empty disables the limit"
    )
    rate_limit_per_principal: Rate = Field("600/minute", description="requests per principal; empty disables the limit")
    rate_limit_url: RedisUrl = Field(
        SecretStr(""),
        description="redis://user:password@host:port of counters shared by all processes; empty counts per process",
    )
    worker_operations_port: Port = Field(
        8002, description="port for /livez, /readyz and /metrics of the worker, 1 to 65535"
    )
    operations_host: str = Field("127.0.0.1", description="address both operations ports listen on")

    worker_concurrency: int = Field(
        20, ge=2, le=1000, description="concurrent jobs per worker, one connection each, 2 to 1000"
    )
    worker_max_attempts: int = Field(
        5, ge=1, le=100, description="attempts at a job before it is dead-lettered, 1 to 100"
    )
    worker_lease: Seconds = Field(
        10, description="seconds after which the jobs of an unresponsive worker are given to another"
    )
    retention_days: int = Field(
        30, ge=1, le=3650, description="days to keep the inbox, the queue log and tracked jobs, 1 to 3650"
    )

    shutdown_delay: float = Field(
        0, ge=0, le=60, description="seconds the API keeps serving after SIGTERM while /readyz fails, 0 to 60"
    )
    shutdown_timeout: Seconds = Field(20, description="seconds to finish running work after SIGTERM")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")
    log_format: Literal["json", "console"] = Field("json", description="json, or console for development")


MIN_LETTERS = 12
WELL_KNOWN = ("change", "default", "example", "insecure", "password", "secret")


def _strong(secret: SecretBytes) -> SecretBytes:
    """Refuse a secret that is no secret: known to all, or one letter over and over."""
    text = secret.get_secret_value()
    if len(set(text)) < MIN_LETTERS or any(word.encode() in text.lower() for word in WELL_KNOWN):
        raise ValueError
    return secret


type Secret = Annotated[SecretBytes, Field(min_length=32), AfterValidator(_strong)]


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


type Origin = Annotated[str, Field(pattern=r"^https?://[^/*\s]+$")]


class ApiSecrets(EnvironmentSettings):
    """Secrets of the API process."""

    signing_keys: Annotated[tuple[Secret, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)] = Field(
        description="random secrets of 32 characters or more, comma-separated; the first key signs, all are accepted"
    )


class EdgeSettings(EnvironmentSettings):
    """Limits of the public port, trusted proxies and allowed origins."""

    api_body_limit: int = Field(1_048_576, ge=1, description="maximum size of a request body in bytes")
    api_body_timeout: Seconds = Field(10, description="seconds to receive a request body")
    api_head_timeout: Seconds = Field(10, description="seconds to receive the request line and headers")
    api_connections: int = Field(1000, ge=1, description="maximum number of open connections; further ones receive 503")
    api_trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="addresses or networks, comma-separated, whose X-Forwarded-For and X-Forwarded-Proto are trusted",
    )
    api_cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="origins, comma-separated, allowed to call the API from a browser, for example https://example.org",
    )


class HttpClientSettings(EnvironmentSettings):
    """Outbound calls."""

    http_client_proxy: SecretHttpUrl = Field(
        SecretStr(""),
        description="http://user:password@host:port of a proxy for outbound calls, which then restricts the targets",
    )
    http_client_allowed_networks: Networks = Field(
        "", description="private networks that outbound calls may reach, comma-separated, for example 10.1.0.0/16"
    )


def load[S: EnvironmentSettings](settings: type[S]) -> S:
    """Read `settings` from the environment, and what is not there from the files of SECRETS_DIRECTORY.

    Raises SettingsError with one line that names each wrong variable; values are left out, they may be secrets.
    """
    try:
        options: dict[str, Any] = {"_secrets_dir": _secrets_directory()}
        return settings(**options)
    except ValidationError as error:
        mistakes = [_mistake(settings, *details["loc"][:1], kind=details["type"]) for details in error.errors()]
        raise SettingsError("; ".join(dict.fromkeys(mistakes))) from None
    except UnreadableSettingsError as error:
        raise SettingsError(str(error)) from None


def _secrets_directory() -> Path | None:
    """Name the directory of files that are called like variables, as Docker and Kubernetes mount secrets."""
    name = os.environ.get("SECRETS_DIRECTORY")
    if name and not Path(name).is_dir():
        raise SettingsError(f"SECRETS_DIRECTORY is wrong, {name} is not a directory")
    return Path(name) if name else None


def _mistake(settings: type[EnvironmentSettings], name: int | str = "", *, kind: str) -> str:
    """Say what is wrong with one variable, or with several together when a validator of the whole class objects."""
    field = settings.model_fields.get(str(name))
    if field is None:
        return f"{settings.__module__}.{settings.__name__} does not accept what is set {name}".rstrip()
    return f"{str(name).upper()} is {'missing' if kind == 'missing' else 'wrong'}, it accepts: {field.description}"
