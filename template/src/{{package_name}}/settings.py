"""The kernel's settings, read once from the environment."""

from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal
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
    database_pool_size: int = Field(10, ge=2, le=1000, description="connections the API may hold, 2 to 1000")
    database_connect_timeout: Seconds = Field(2, description="seconds to open a connection")
    database_pool_timeout: Seconds = Field(2, description="seconds to wait for a connection, opened or free")
    database_statement_timeout: Seconds = Field(3, description="seconds a statement may run")
    database_idle_timeout: Seconds = Field(10, description="seconds a transaction may wait for its next statement")

    api_host: str = Field("127.0.0.1", description="address the API listens on")
    api_port: Port = Field(8000, description="public port of the API, 1 to 65535")
    api_docs: bool = Field(default=False, description="true serves /docs and /openapi.json")
    api_operations_port: Port = Field(8001, description="port for /livez, /readyz and /metrics of the API")
    rate_limit_per_address: Rate = Field(
        "1200/minute", description="requests of an address, as in 20/second; empty: all"
    )
    rate_limit_per_principal: Rate = Field("600/minute", description="requests of a principal; empty: all")
    rate_limit_url: RedisUrl = Field(
        SecretStr(""), description="redis://user:password@host:port counts for all processes; empty: each for itself"
    )
    worker_operations_port: Port = Field(8002, description="port for /livez, /readyz and /metrics of the worker")
    operations_host: str = Field("127.0.0.1", description="address both operations ports listen on")

    worker_concurrency: int = Field(
        20, ge=2, le=1000, description="jobs a worker runs at once, a connection each, 2 to 1000"
    )
    worker_max_attempts: int = Field(5, ge=1, le=100, description="runs of a failing job before it is held, 1 to 100")
    worker_lease: Seconds = Field(10, description="seconds after which a silent worker's jobs go to another")
    retention_days: int = Field(
        30, ge=1, le=3650, description="days the inbox and the log of the queue are kept, 1 to 3650"
    )

    shutdown_delay: float = Field(
        0, ge=0, le=60, description="seconds the API serves on after SIGTERM, for balancers to see that it is not ready"
    )
    shutdown_timeout: Seconds = Field(20, description="seconds to finish running work after SIGTERM")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people")


LEAST_LETTERS = 12
WELL_KNOWN = ("change", "default", "example", "insecure", "password", "secret")


def _strong(secret: SecretBytes) -> SecretBytes:
    """Refuse a secret that is no secret: known to all, or one letter over and over."""
    text = secret.get_secret_value()
    if len(set(text)) < LEAST_LETTERS or any(word.encode() in text.lower() for word in WELL_KNOWN):
        raise ValueError
    return secret


type Secret = Annotated[SecretBytes, Field(min_length=32), AfterValidator(_strong)]


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


type Origin = Annotated[str, Field(pattern=r"^https?://[^/*\s]+$")]


class ApiSecrets(EnvironmentSettings):
    """What only the API has to know."""

    signing_keys: Annotated[tuple[Secret, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)] = Field(
        description="random secrets of 32 characters or more, with commas; the first signs cursors, all are believed"
    )


class EdgeSettings(EnvironmentSettings):
    """What a port takes from strangers, and whom it believes."""

    api_body_limit: int = Field(1_048_576, ge=1, description="bytes a body may have")
    api_body_timeout: Seconds = Field(10, description="seconds for a whole body to arrive")
    api_head_timeout: Seconds = Field(10, description="seconds for a request's line and headers to arrive")
    api_connections: int = Field(1000, ge=1, description="connections open at once, more are answered 503")
    api_trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="addresses or networks, with commas, whose X-Forwarded-For and -Proto are believed"
    )
    api_cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="origins, with commas, whose pages may call the API, as in https://example.org"
    )


class HttpClientSettings(EnvironmentSettings):
    """How other services are called."""

    http_client_proxy: SecretHttpUrl = Field(
        SecretStr(""), description="http://user:password@host:port of a proxy, which then guards what may be called"
    )
    http_client_allowed_networks: Networks = Field(
        "", description="private networks that may be called, with commas, as in 10.1.0.0/16"
    )


def load[S: EnvironmentSettings](settings: type[S]) -> S:
    """Read `settings` from the environment.

    Raises SettingsError with one line that names each wrong variable; values are left out, they may be secrets.
    """
    try:
        return settings()
    except ValidationError as error:
        mistakes = [_mistake(settings, *details["loc"][:1], kind=details["type"]) for details in error.errors()]
        raise SettingsError("; ".join(dict.fromkeys(mistakes))) from None
    except UnreadableSettingsError as error:
        raise SettingsError(str(error)) from None


def _mistake(settings: type[EnvironmentSettings], name: int | str = "", *, kind: str) -> str:
    """Say what is wrong with one variable, or with several together when a validator of the whole class objects."""
    field = settings.model_fields.get(str(name))
    if field is None:
        return f"{settings.__module__}.{settings.__name__} does not accept what is set {name}".rstrip()
    return f"{str(name).upper()} is {'missing' if kind == 'missing' else 'wrong'}, it accepts: {field.description}"
