"""Redacts secrets by field name and by known formats.

Text comes from callers and from other services, so no pattern may take more than linear time.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

MASK = "***"
MAX_TEXT = 65_536

_NAMES = (
    r"(?:authorization|cookie|passw(?:or)?d|passphrase|pwd|secret|token|session|credential|signature|jwt|dsn"
    r"|(?:access|account|api|encryption|idempotency|master|private|signing)[ _-]?key)"
)
_NAME = re.compile(_NAMES)
# What stands between a name and its value: in `name=value`, `Name: value`, JSON, and the repr of a dict or of pairs.
_IS = r"(?:\\{0,8}[\"']\s{0,8}[:,]\s{0,8}|\s{0,8}=\s{0,8}|:\s{1,8})"
_QUOTED = r"\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|\\{1,8}[\"'][^\"'\\]*+(?:\\{1,8}[\"'])?"
# As in b"...", and in SecretStr("...").
_CALL = r"[\w.]{0,64}\(?b?"
_SCHEME = r"(?:(?:basic|bearer|digest|token)\s{1,8})?"
_WORD = rf"{_SCHEME}(?!None\b|null\b|\*\*\*)(?:[^\s\"'&\\]|\\(?![\"']))++"
_FIELD = re.compile(rf"({_NAMES}\w{{0,32}}{_IS})(?:{_CALL}(?:{_QUOTED})|{_WORD})", re.IGNORECASE | re.DOTALL)
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-{5}BEGIN [A-Z ]{0,32}PRIVATE KEY.*?(?:-{5}END [A-Z ]{0,32}PRIVATE KEY-{5}|\Z)", re.DOTALL), MASK),
    # The user and the password of a URL; with the user alone, as in https://token@host, that is the secret.
    (re.compile(r"://[^\s/?#\"'<>\\]*@"), f"://{MASK}@"),
    # A header field up to the end of its line, since its value has spaces.
    (re.compile(r"(authorization|cookie):.*+", re.IGNORECASE), rf"\1: {MASK}"),
    (_FIELD, rf"\1{MASK}"),
    (re.compile(r"\b(bearer|basic)\s{1,8}[\w.~+/=-]{8,}+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w.-]*+"), MASK),  # a JSON Web Token
    (re.compile(r"key_([a-z0-9]{12})_[\w-]{43}"), rf"key_\1_{MASK}"),  # of `chassis.identity.api_keys`
    # Of GitHub, GitLab, Slack, Stripe, OpenAI, Google, npm, PyPI, Hugging Face, SendGrid and AWS.
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|xapp-|[prs]k_(?:live|test)_|whsec_|sk-|AIza"
            r"|npm_|pypi-|hf_|SG\.)[\w.-]{16,}+|(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}"
        ),
        MASK,
    ),
    # What the messages of pydantic, asyncpg and PostgreSQL quote.
    (re.compile(r"input_value=.{0,256}?, input_type="), f"input_value={MASK}, input_type="),
    (re.compile(r"(invalid input [^:\n]{1,128}: )(?:\"[^\"]*+)?.*+"), rf"\1{MASK}"),
    (re.compile(r"(Failing row contains |Key \([^()\n]{0,256}\)=)\([^)]*+.*+"), rf"\1({MASK})"),
)
# In lower case; text without any of them has no secret that the patterns above would find.
_MARKS = re.compile(
    r"authoriz|cookie|passw|passphrase|pwd|secret|token|session|credential|signature|jwt|dsn|key"
    r"|-{5}begin|://|bearer|basic|eyj|gh[oprsu]_|github_pat|glpat-|xox|xapp-|k_live|k_test|whsec|sk-|aiza"
    r"|npm_|pypi-|hf_|sg\.|a[ks]ia|input_value|invalid input|failing row"
)
_PLAIN = frozenset({int, float, bool, type(None)})


@lru_cache(1024)
def is_secret(name: str) -> bool:
    """Return whether a field of this name contains a secret."""
    return _NAME.search(name.lower()) is not None


def has_marks(text: str) -> bool:
    """Return whether a text may contain a secret; cheap, with false positives."""
    return _MARKS.search(text.lower()) is not None


# The values of most fields are few, and short.
MAX_CACHED = 100
_has_marks = lru_cache(1024)(has_marks)


def may_reveal(fields: Mapping[str, object], known: frozenset[str]) -> bool:
    """Return whether fields may contain a secret, without those `known` to have none; cheap, with false positives."""
    for name, value in fields.items():
        if name in known or type(value) in _PLAIN:
            continue
        if type(value) is not str or is_secret(name):
            return True
        find = _has_marks if len(value) <= MAX_CACHED else has_marks
        if len(value) > MAX_TEXT or find(value):
            return True
    return False


def redact(text: str) -> str:
    """Replace the secrets; the middle of a text over MAX_TEXT is cut, because redacting it would be slow."""
    if len(text) > MAX_TEXT:
        text = f"{text[: MAX_TEXT // 2]} … {text[-MAX_TEXT // 2 :]}"
    if has_marks(text):
        for pattern, replacement in _FORMS:
            text = pattern.sub(replacement, text)
    return text


def redact_all[T](value: T) -> T:
    """Replace the secrets in a JSON value, at any depth; numbers and booleans are kept."""
    return _redacted(value)  # type: ignore[return-value]  # of the same type


def _redacted(value: object) -> object:
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(str(name)): _field(str(name), each) for name, each in value.items()}
        case [str(name), str(text)]:  # as in a list of header fields
            return [name, _field(name, text)]
        case list():
            return [_redacted(each) for each in value]
        case _:
            return value


def _field(name: str, value: object) -> object:
    is_hidden = value and type(value) not in _PLAIN and is_secret(name)
    return MASK if is_hidden else _redacted(value)
