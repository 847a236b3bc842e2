"""Which URLs of a database are accepted: those of libpq, as far as the driver does the same with them."""

import os
import re
from urllib.parse import parse_qsl, urlsplit

from pydantic_core import PydanticCustomError

REFUSED = "refused"

HOST = r"(\[[^\[\]]+\]|[^\[\]:,@]+)(:\d{1,5})?"
NETLOC = re.compile(rf"([^@]*@)?({HOST}(,{HOST})*)?")
# Parameters of libpq that asyncpg implements, and two that it passes on to the server as libpq does.
SUPPORTED = frozenset(
    """
    application_name dbname host options passfile password port ssl_max_protocol_version ssl_min_protocol_version
    sslcert sslcrl sslkey sslmode sslnegotiation sslpassword sslrootcert target_session_attrs user
    """.split()  # noqa: SIM905  # a list would be harder to read
)
# The others of libpq. Any other name is not repeated: it may be a part of a password that is not percent-encoded.
UNSUPPORTED = frozenset(
    """
    channel_binding client_encoding connect_timeout fallback_application_name gssdelegation gssencmode gsslib hostaddr
    keepalives keepalives_count keepalives_idle keepalives_interval krbsrvname load_balance_hosts max_protocol_version
    min_protocol_version replication require_auth requirepeer requiressl service servicefile sslcertmode sslcompression
    sslcrldir sslkeylogfile sslsni tcp_user_timeout
    """.split()  # noqa: SIM905  # a list would be harder to read
)
CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
}
FILES = ("sslcert", "sslcrl", "sslkey", "sslrootcert")


def check_database_url(url: str) -> str:
    """Return the URL. Raises ValueError, or PydanticCustomError of the type REFUSED with what to change."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or not NETLOC.fullmatch(parts.netloc) or parts.fragment:
        raise ValueError
    parameters = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    for name, value in parameters.items():
        if name in UNSUPPORTED:
            raise _refused(f"remove the parameter {name}, which is not supported")
        if name not in SUPPORTED:
            raise ValueError
        if name in CHOICES and value not in CHOICES[name]:
            raise _refused(f"{name} must be one of {', '.join(CHOICES[name])}")
        if name in FILES and not os.access(value, os.R_OK):
            raise _refused(f"{name} names no file that can be read")
    return url


def _refused(what: str) -> PydanticCustomError:
    return PydanticCustomError(REFUSED, "{what}", {"what": what})
