"""The settings of notes."""

from pydantic import Field

from chassis.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    notes_longest: int = Field(1000, ge=1, le=10_000, description="characters a note may have, 1 to 10000")
