"""Settings, read from environment variables or from mounted files."""

import os
import re
import ssl
from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretBytes, SecretStr, model_validator
from pydantic_core import ErrorDetails, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSettingsError

from chassis._certificates import check_certificates, check_folders
from chassis._database_url import REFUSED, check_database_url

type Port = Annotated[int, Field(ge=1, le=65535)]
type Seconds = Annotated[float, Field(gt=0, le=3600)]
# Kubernetes sets API_PORT=tcp://10.0.0.1:80 in each pod beside a Service called `api`.
SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


type CommaSeparated[T] = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split)]
type Networks = CommaSeparated[IPv4Network | IPv6Network]


def _rate(text: str) -> str:
    """Accept exactly one rate, or empty text."""
    from limits import parse_many  # noqa: PLC0415  # the worker does not need it

    if text and len(parse_many(text)) != 1:
        raise ValueError
    return text


def _address(secret: SecretStr, schemes: tuple[str, ...]) -> SecretStr:
    """Accept a URL with one of these schemes, or empty text."""
    if text := secret.get_secret_value():
        parts = urlsplit(text)
        if parts.scheme not in schemes or not (parts.hostname or parts.path):
            raise ValueError
    return secret


def _listen_url(text: str) -> str:
    return text if text in {"", "none"} else check_database_url(text)


type DatabaseUrl = Annotated[str, AfterValidator(check_database_url)]
type ListenUrl = Annotated[str, AfterValidator(_listen_url)]
type Rate = Annotated[str, AfterValidator(_rate)]
type RedisUrl = Annotated[SecretStr, AfterValidator(partial(_address, schemes=("redis", "rediss", "unix")))]
# A URL that often contains a password or a token.
type SecretHttpUrl = Annotated[SecretStr, AfterValidator(partial(_address, schemes=("http", "https")))]


class StartError(Exception):
    """A command cannot run; the message is one line that says what to correct."""


class SettingsError(StartError):
    """Variables are missing or wrong; each argument names one and says what it accepts."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class EnvironmentSettings(BaseSettings):
    """Derive settings from this class; each field's description says what the variable accepts."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _ignore_service_links(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if not _is_service_link(name, value)}


def _is_service_link(name: str, value: object) -> bool:
    return name.lower().endswith("_port") and isinstance(value, str) and bool(SERVICE_LINK.fullmatch(value))


def service_links(settings: Iterable[type[EnvironmentSettings]]) -> Iterator[str]:
    """Name the variables of these settings that Kubernetes has set for a Service, which `load` ignores."""
    names = (name.upper() for kind in settings for name in kind.model_fields)
    return (name for name in names if _is_service_link(name, os.environ.get(name)))


class Settings(EnvironmentSettings):
    database_url: DatabaseUrl = Field(description="postgresql://user:password@host:port/name")
    database_listen_url: ListenUrl = Field(
        "",
        description="direct connection for LISTEN and migrate, if DATABASE_URL is a pooler in transaction mode; "
        "empty uses DATABASE_URL, none polls every second",
    )
    database_statement_cache: int = Field(
        100, ge=0, le=10_000, description="prepared statements per connection; 0 for a pooler that does not track them"
    )
    database_pool_size: int = Field(10, ge=2, le=1000, description="maximum connections of the API, 2 to 1000")
    database_connect_timeout: Seconds = Field(2, description="seconds to open a connection")
    database_pool_timeout: Seconds = Field(2, description="seconds to acquire a connection from the pool")
    database_statement_timeout: Seconds = Field(3, description="seconds a statement may run")
    database_idle_timeout: Seconds = Field(10, description="seconds a transaction may stay idle between statements")

    api_host: str = Field("127.0.0.1", description="address the API listens on")
    api_port: Port = Field(8000, description="public port of the API, 1 to 65535")
    api_docs: bool = Field(default=False, description="true serves /docs, /redoc and /openapi.json")
    api_operations_port: Port = Field(8001, description="operations port of the API, 1 to 65535")
    rate_limit_per_address: Rate = Field(
        "1200/minute", description="requests per client IP, for example 20/second; empty disables the limit"
    )
    rate_limit_per_principal: Rate = Field("600/minute", description="requests per principal; empty disables the limit")
    rate_limit_url: RedisUrl = Field(
        SecretStr(""),
        description="redis://user:password@host:port of counters shared by all processes; empty counts per process",
    )
    worker_operations_port: Port = Field(8002, description="operations port of the worker, 1 to 65535")
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
        30,
        ge=1,
        le=3650,
        description="days to keep the progress of tracked jobs and the ids of received events, 1 to 3650",
    )

    shutdown_delay: float = Field(
        0, ge=0, le=60, description="seconds the API keeps serving after SIGTERM while /readyz fails, 0 to 60"
    )
    shutdown_timeout: Seconds = Field(20, description="seconds to finish running work after SIGTERM")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = Field(
        "info", description="debug, info, warning or error"
    )
    log_format: Literal["json", "console"] = Field("json", description="json, or console for development")
    revision: str = Field("unknown", description="revision of the source, for example a commit; the image sets it")
    sentry_dsn: SecretHttpUrl = Field(SecretStr(""), description="DSN that exceptions are sent to; empty sends none")
    sentry_environment: str = Field("production", description="environment reported with exceptions")


MIN_DISTINCT = 12
PLACEHOLDERS = ("change", "default", "example", "insecure", "password", "secret")


def _strong(secret: SecretBytes) -> SecretBytes:
    """Refuse a placeholder, and a secret of few different characters."""
    text = secret.get_secret_value()
    if len(set(text)) < MIN_DISTINCT or any(word.encode() in text.lower() for word in PLACEHOLDERS):
        raise ValueError
    return secret


type Secret = Annotated[SecretBytes, Field(min_length=32), AfterValidator(_strong)]
type FieldName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
type Origin = Annotated[str, Field(pattern=r"^https?://[^/*\s]+$")]


class ApiSecrets(EnvironmentSettings):
    signing_keys: CommaSeparated[Secret] = Field(
        min_length=1,
        description="random secrets of 32 characters or more, comma-separated; the first key signs, all are accepted",
    )


class EdgeSettings(EnvironmentSettings):
    api_body_limit: int = Field(1_048_576, ge=1, description="maximum size of a request body in bytes")
    api_body_timeout: Seconds = Field(10, description="seconds to receive a request body")
    api_head_timeout: Seconds = Field(10, description="seconds to receive the request line and headers")
    api_send_timeout: Seconds = Field(30, description="seconds in which a client must read some of a pending response")
    api_connections: int = Field(1000, ge=1, description="maximum number of open connections; further ones receive 503")
    api_trusted_proxies: Networks = Field(
        (),
        description="addresses or networks, comma-separated, whose X-Forwarded-For and X-Forwarded-Proto are trusted",
    )
    api_cors_origins: CommaSeparated[Origin] = Field(
        (),
        description="origins, comma-separated, allowed to call the API from a browser, for example https://example.org",
    )
    api_cors_headers: CommaSeparated[FieldName] = Field(
        (), description="request header fields, comma-separated, that a page may send besides those of the chassis"
    )


class HttpClientSettings(EnvironmentSettings):
    http_client_proxy: SecretHttpUrl = Field(
        SecretStr(""),
        description="http://user:password@host:port of a proxy for outbound calls, which then restricts the targets",
    )
    http_client_allowed_networks: Networks = Field(
        (), description="private networks that outbound calls may reach, comma-separated, for example 10.1.0.0/16"
    )
    ssl_cert_file: Annotated[str, AfterValidator(check_certificates)] = Field(
        "",
        description="PEM file of the certificate authorities that outbound calls trust, in place of the system's file",
    )
    ssl_cert_dir: Annotated[str, AfterValidator(check_folders)] = Field(
        "", description="folder of such files, prepared by openssl rehash, in place of the system's folder"
    )

    def tls(self) -> ssl.SSLContext:
        """Return the context of outbound calls. OpenSSL reads the two variables, but ignores what it cannot read."""
        context = ssl.create_default_context()
        if self.ssl_cert_file or self.ssl_cert_dir:  # they may be set in SECRETS_DIRECTORY, which OpenSSL does not know
            context.load_verify_locations(self.ssl_cert_file or None, self.ssl_cert_dir or None)
        return context


def load[S: EnvironmentSettings](settings: type[S]) -> S:
    """Read `settings` from the environment, and variables that are not set from the files in SECRETS_DIRECTORY.

    The files are named like the variables, as Docker and Kubernetes mount secrets.
    Raises SettingsError with one line that names each wrong variable, without the values: they may be secrets.
    """
    directory = os.environ.get("SECRETS_DIRECTORY") or None
    if directory and not Path(directory).is_dir():
        raise SettingsError(f"SECRETS_DIRECTORY is wrong, {directory} is not a directory")
    options: dict[str, Any] = {"_secrets_dir": directory}
    try:
        return settings(**options)
    except ValidationError as error:
        raise SettingsError(*dict.fromkeys(_problem(settings, each) for each in error.errors())) from None
    except UnreadableSettingsError as error:
        raise SettingsError(str(error)) from None


def _problem(settings: type[EnvironmentSettings], error: ErrorDetails) -> str:
    """Describe one error; a validator of the whole class names no variable."""
    name = str(error["loc"][0]) if error["loc"] else ""
    field = settings.model_fields.get(name)
    if error["type"] == REFUSED:
        return f"{name.upper()} is wrong: {error['msg']}"
    if field is None:
        return f"{settings.__module__}.{settings.__name__} does not accept what is set {name}".rstrip()
    is_empty = error["input"] in ("", b"", [], ())
    state = "missing" if error["type"] == "missing" else "empty" if is_empty else "wrong"
    return f"{name.upper()} is {state}, it accepts: {field.description}"
