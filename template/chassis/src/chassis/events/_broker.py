"""A connection to NATS JetStream, which is replaced when it is lost, so that it is clear what was in flight on it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, override
from urllib.parse import unquote, urlsplit

import structlog
from nats.aio.client import Client, RawCredentials
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from chassis.events._kinds import subject_of
from chassis.events._settings import NatsSettings, read_credentials, servers_of

log = structlog.stdlib.get_logger(__name__)

# An event that is published again within this time, since its acknowledgement was lost, is stored once.
DUPLICATES_SECONDS = 600
# How long subscribers have to read an event, in a stream that a worker creates.
EVENTS_SECONDS = 7 * 24 * 3600
# Every event fits into this, headers included: the default limit of a server.
MIN_PAYLOAD = 2**20
# A server that does not answer is noticed after three of them.
PING_SECONDS = 5

# What a server that is stopped, restarting, frozen or not usable raises.
NATS_ERRORS = (NatsError, OSError, TimeoutError)


class NotUsable(NatsError):
    """The configuration of the server does not fit; events wait until it is corrected."""


class Broker:
    """JetStream over one connection."""

    def __init__(self, client: Client, settings: NatsSettings, service: str) -> None:
        self.jetstream: JetStreamContext = client.jetstream(timeout=settings.nats_timeout)
        self.timeout = settings.nats_timeout
        self._client = client
        self._replicas = settings.nats_replicas
        self._service = service
        self._usable: set[str] = set()

    def check(self) -> None:
        """Raise ConnectionError if the connection is lost."""
        if not self._client.is_connected:
            raise ConnectionError("the connection to NATS is lost")

    async def ensure_stream(self, subject: str) -> None:
        """Find the stream for events of this service on a subject, or create it. Raises NotUsable."""
        if subject in self._usable:
            return
        if not await self.find_stream(subject):
            await self._create_stream()
        self._usable.add(subject)

    async def find_stream(self, subject: str) -> str | None:
        """Return the name of the stream for events on a subject, or None if there is none. Raises NotUsable."""
        try:
            name = await self.jetstream.find_stream_name_by_subject(subject)
        except NotFoundError:
            return None
        limit = (await self.jetstream.stream_info(name)).config.max_msg_size or -1
        if 0 < limit < MIN_PAYLOAD:
            raise NotUsable(f"max_msg_size of the stream {name} is {limit}, and must be {MIN_PAYLOAD} or more")
        return name

    async def _create_stream(self) -> None:
        await self.jetstream.add_stream(
            StreamConfig(
                name=f"{self._service}-events",
                subjects=[subject_of(f"{self._service}.>")],
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.OLD,
                max_age=EVENTS_SECONDS,
                storage=StorageType.FILE,
                num_replicas=self._replicas,
                duplicate_window=DUPLICATES_SECONDS,
            )
        )


class _Client(Client):
    @override
    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Encrypt where TLS is asked for: nats-py would send the password to a server that does not require it."""
        if "tls" in self.options:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise NotUsable("the server has no TLS, which NATS_URL or NATS_TLS_CA asks for")
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)


@asynccontextmanager
async def connected(settings: NatsSettings, service: str) -> AsyncGenerator[Broker]:
    """Connect for the length of the block. Raises what is in NATS_ERRORS, also in groups."""
    client = _Client()
    options: dict[str, Any] = {"tls": settings.tls(), **_authentication(settings)}
    try:
        async with asyncio.timeout(settings.nats_timeout):
            await client.connect(
                servers_of(settings.nats_url),
                name=service,
                allow_reconnect=False,
                ping_interval=PING_SECONDS,
                error_cb=_ignore,
                **options,
            )
        if client.max_payload < MIN_PAYLOAD:
            raise NotUsable(f"max_payload of the server is {client.max_payload}, and must be {MIN_PAYLOAD} or more")
        yield Broker(client, settings, service)
    except* TimeoutError:
        # Such as a refused connection, or a permission that the user lacks.
        if client.last_error:
            raise ConnectionError(client.last_error) from None
        raise
    finally:
        # It would wait for ever after a failed TLS handshake (nats-py 2.16).
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.nats_timeout):
                await client.close()


def _authentication(settings: NatsSettings) -> dict[str, Any]:
    """Return what nats-py needs; it takes the password of a URL as it is, percent-encoded."""
    if path := settings.nats_credentials:
        try:
            return {"user_credentials": RawCredentials(read_credentials(path))}
        except ValueError:
            raise NotUsable("NATS_CREDENTIALS is not a credentials file any more") from None
    first = urlsplit(servers_of(settings.nats_url)[0])
    if first.password is None:
        return {"token": first.username and unquote(first.username)}
    return {"user": unquote(first.username or ""), "password": unquote(first.password)}


def first_of(error: BaseException) -> BaseException:
    """Return the first error of a group, or the error itself."""
    return first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _ignore(_error: Exception) -> None:
    """Leave errors to who waits for an answer."""
