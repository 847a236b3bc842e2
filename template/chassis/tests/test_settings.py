"""Settings come from the environment or from files, an example lists them all, a mistake is said in one line."""

from pathlib import Path
from secrets import token_urlsafe
from typing import Self

import pytest
from pydantic import Field, SecretStr, model_validator

from chassis.runtime import Service
from chassis.settings import ApiSecrets, EnvironmentSettings, Settings, SettingsError, load, service_links
from chassis.testing.conventions import missing_in_example

from tests.sample.modules.notes.settings import Settings as SampleSettings

URL = "postgresql://shop:secret@localhost/shop"


def test_every_variable_has_a_meaning_and_a_class_of_its_own(service: Service) -> None:
    fields = [(name, field) for kind in service.settings for name, field in kind.model_fields.items()]
    assert [name for name, field in fields if not field.description] == []
    assert len({name for name, _ in fields}) == len(fields)


class Baking(EnvironmentSettings):
    oven_url: str = Field(description="where the oven is")
    oven_temperature: float = Field(200.0, description="degrees, 20 to 300")
    oven_lit: bool = Field(default=False, description="true lights it")
    oven_names: tuple[str, ...] = Field(("east", "west"), description="names, comma-separated")
    oven_token: SecretStr = Field(SecretStr("default"), description="a token of the oven")


EXAMPLE = """\
# where the oven is
OVEN_URL=
# degrees, 20 to 300; the crust likes it hot
# OVEN_TEMPERATURE=200
# true lights it
# OVEN_LIT=false
# names, comma-separated
# OVEN_NAMES=east,west
# a token of the oven
# OVEN_TOKEN=
"""


@pytest.mark.parametrize(
    ("written", "instead", "found"),
    [
        ("", "", []),
        ("OVEN_LIT", "OVEN_OUT", ["OVEN_LIT is not in .env.example", "OVEN_OUT is in .env.example and no setting"]),
        ("=200", "=180", ["OVEN_TEMPERATURE: write `# degrees, 20 to 300` above `# OVEN_TEMPERATURE=200`"]),
        ("where the", "the", ["OVEN_URL: write `# where the oven is` above `# OVEN_URL=`"]),
    ],
)
def test_an_example_lists_every_variable_with_its_meaning_and_default(
    tmp_path: Path, written: str, instead: str, found: list[str]
) -> None:
    example = tmp_path / ".env.example"
    example.write_text(EXAMPLE.replace(written, instead), encoding="utf-8")
    assert list(missing_in_example([Baking], example)) == found


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("API_PORT", "9000")
    settings = load(Settings)
    assert settings.database_url == URL
    assert settings.api_port == 9000


def test_a_missing_variable_is_named_with_what_it_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    assert str(raised.value) == "DATABASE_URL is missing, it accepts: postgresql://user:password@host:port/name"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://secret@localhost/shop"),
        ("DATABASE_URL", "postgresql+asyncpg://secret@localhost/shop"),
        ("DATABASE_POOL_SIZE", "1"),
        ("API_PORT", "secret"),
        ("API_PORT", "65536"),
        ("SHUTDOWN_TIMEOUT", "nan"),
        ("SHUTDOWN_TIMEOUT", "-1"),
        ("LOG_LEVEL", "secret"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    [line] = str(raised.value).splitlines()
    assert line.startswith(f"{name} is wrong, it accepts: ")
    assert "secret" not in line


def test_a_module_has_settings_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_LONGEST", "0")
    with pytest.raises(SettingsError, match="NOTES_LONGEST is wrong, it accepts: characters a note may have"):
        load(SampleSettings)


def test_a_list_that_is_no_json_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Listed(EnvironmentSettings):
        notes_tags: list[str] = Field(description="a list in JSON")

    monkeypatch.setenv("NOTES_TAGS", "secret")
    with pytest.raises(SettingsError) as raised:
        load(Listed)
    assert "notes_tags" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_settings_that_do_not_go_together_are_said() -> None:
    class Contradicting(EnvironmentSettings):
        @model_validator(mode="after")
        def refuse(self) -> Self:
            raise ValueError("never")

    with pytest.raises(SettingsError, match=r"\.Contradicting does not accept what is set"):
        load(Contradicting)


@pytest.mark.parametrize("text", ["short", "x" * 64, "changethis-changethis-changethis-0123456789", "{good},short"])
def test_a_secret_that_is_none_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SIGNING_KEYS", text.format(good=token_urlsafe(32)))
    with pytest.raises(SettingsError) as raised:
        load(ApiSecrets)
    assert str(raised.value).startswith("SIGNING_KEYS is wrong, it accepts: random secrets of 32 characters or more")


@pytest.mark.parametrize(("kind", "name"), [(ApiSecrets, "SIGNING_KEYS"), (Settings, "DATABASE_URL")])
def test_an_empty_value_is_said_to_be_empty(
    monkeypatch: pytest.MonkeyPatch, kind: type[EnvironmentSettings], name: str
) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(SettingsError, match=f"{name} is empty, it accepts: "):
        load(kind)


def test_secrets_are_several_and_stay_out_of_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [token_urlsafe(32), token_urlsafe(32)]
    monkeypatch.setenv("SIGNING_KEYS", ",".join(keys))
    secrets = load(ApiSecrets)
    assert [key.get_secret_value().decode() for key in secrets.signing_keys] == keys
    assert not any(key in repr(secrets) for key in keys)


def test_a_variable_may_come_from_a_file_and_the_environment_has_precedence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "DATABASE_URL").write_text(f"{URL}\n", encoding="utf-8")
    monkeypatch.setenv("SECRETS_DIRECTORY", str(tmp_path))
    assert load(Settings).database_url == URL
    monkeypatch.setenv("DATABASE_URL", "postgresql://other@localhost/shop")
    assert load(Settings).database_url == "postgresql://other@localhost/shop"


@pytest.mark.parametrize("text", ["INFO", "info", "Info"])
def test_a_level_may_be_written_in_capitals(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("LOG_LEVEL", text)
    assert load(Settings).log_level == "info"


class Paying(EnvironmentSettings):
    payments_port: int = Field(description="port of the payments")
    payments_url: str = Field("", description="where payments are")


@pytest.mark.parametrize("link", ["tcp://10.0.0.1:80", "udp://10.0.0.1:53", "tcp://[fd00::1]:80"])
def test_what_kubernetes_sets_for_a_service_of_that_name_is_ignored(monkeypatch: pytest.MonkeyPatch, link: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    for name in ("API_PORT", "PAYMENTS_PORT", "PAYMENTS_URL"):
        monkeypatch.setenv(name, link)
    assert load(Settings).api_port == 8000
    with pytest.raises(SettingsError, match="PAYMENTS_PORT is missing, it accepts: port of the payments"):
        load(Paying)
    assert list(service_links([Settings, Paying])) == ["API_PORT", "PAYMENTS_PORT"]
    monkeypatch.setenv("PAYMENTS_PORT", "9000")
    assert load(Paying).payments_url == link


def test_a_wrong_value_in_a_file_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "DATABASE_URL").write_text("mysql://shop:canary@localhost/shop", encoding="utf-8")
    monkeypatch.setenv("SECRETS_DIRECTORY", str(tmp_path))
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    assert str(raised.value) == "DATABASE_URL is wrong, it accepts: postgresql://user:password@host:port/name"


def test_a_directory_of_secrets_that_is_missing_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "nowhere"
    monkeypatch.setenv("SECRETS_DIRECTORY", str(missing))
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    assert str(raised.value) == f"SECRETS_DIRECTORY is wrong, {missing} is not a directory"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///shop?host=/run/postgresql",
        "postgresql://shop@/shop?host=/cloudsql/project:region:instance",
        "postgresql://shop@%2Frun%2Fpostgresql/shop",
        "postgres://shop:secret@one:5432,two,[::1]:5433/shop?target_session_attrs=read-write",
        "postgresql://one/shop?sslmode=require&application_name=shop&options=-c%20search_path%3Dshop",
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_LISTEN_URL"])
def test_what_libpq_accepts_is_accepted(monkeypatch: pytest.MonkeyPatch, url: str, name: str) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv(name, url)
    assert getattr(load(Settings), name.lower()) == url


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("channel_binding=require", "remove the parameter channel_binding, which is not supported"),
        ("sslmode=require&connect_timeout=5", "remove the parameter connect_timeout, which is not supported"),
        ("keepalives=1", "remove the parameter keepalives, which is not supported"),
        ("sslmode=verify-fully", "sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("target_session_attrs=any&sslrootcert=system", "sslrootcert names no file that can be read"),
        ("target_session_attrs=rw", "target_session_attrs must be one of any, primary, standby, prefer-standby"),
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_LISTEN_URL"])
def test_a_parameter_that_would_be_ignored_is_named(
    monkeypatch: pytest.MonkeyPatch, parameters: str, said: str, name: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv(name, f"{URL}?{parameters}")
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    assert str(raised.value).startswith(f"{name} is wrong: {said}")


@pytest.mark.parametrize("url", ["postgresql://shop:pa?ss&secret@one/shop", "postgresql://one:secret/shop", f"{URL}#x"])
def test_a_password_that_is_not_encoded_is_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as raised:
        load(Settings)
    assert str(raised.value) == "DATABASE_URL is wrong, it accepts: postgresql://user:password@host:port/name"
