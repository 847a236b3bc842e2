"""The settings of notifications."""

from chassis.settings import EnvironmentSettings, SecretHttpUrl
from pydantic import Field, SecretStr


class Settings(EnvironmentSettings):
    notifications_webhook_url: SecretHttpUrl = Field(
        SecretStr(""), description="https URL that notifications are posted to; empty only records them"
    )
