"""The settings of leaks; with LEAKS_BROKEN set, the module cannot be imported."""

import os

from pydantic import Field, SecretStr

from chassis.settings import EnvironmentSettings

if broken := os.environ.get("LEAKS_BROKEN"):
    raise RuntimeError(f"password={broken}")


class Settings(EnvironmentSettings):
    leaks_key: SecretStr = Field(SecretStr(""), description="a key that is logged with the settings")
