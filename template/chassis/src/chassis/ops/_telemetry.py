"""Trace export: the standard variables of OpenTelemetry."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from chassis.settings import EnvironmentSettings, SecretHttpUrl, SettingsError, load

type Sampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]


class TelemetrySettings(EnvironmentSettings):
    """The common variables; the SDK reads the others itself."""

    otel_exporter_otlp_endpoint: SecretHttpUrl = Field(
        SecretStr(""),
        description="URL of an OTLP/HTTP collector, for example http://collector:4318; empty exports nothing",
    )
    otel_exporter_otlp_traces_endpoint: SecretHttpUrl = Field(
        SecretStr(""), description="the same for traces alone, with the whole path"
    )
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = Field(
        "http/protobuf", description="only http/protobuf is supported"
    )
    otel_exporter_otlp_headers: SecretStr = Field(
        SecretStr(""), description="headers for the collector, comma-separated, for example authorization=Bearer%20..."
    )
    otel_traces_sampler: Sampler = Field(
        "parentbased_traceidratio",
        description="always_on, always_off or traceidratio; with the prefix parentbased_, the caller decides",
    )
    otel_traces_sampler_arg: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="share of the traces that are recorded, 0 to 1, where the sampler is a traceidratio"
    )
    otel_resource_attributes: str = Field(
        "", description="attributes of all spans, for example deployment.environment.name=production"
    )
    otel_sdk_disabled: bool = Field(default=False, description="true disables trace export")

    @property
    def is_on(self) -> bool:
        """Whether traces are exported."""
        return not self.otel_sdk_disabled and bool(self.endpoint)

    @property
    def endpoint(self) -> str:
        """The URL that traces are sent to, without the path that OpenTelemetry appends."""
        return (self.otel_exporter_otlp_traces_endpoint or self.otel_exporter_otlp_endpoint).get_secret_value()


def load_exporter() -> ModuleType:
    """Import what exports. Raises SettingsError without the extra `otel`."""
    try:
        from chassis.ops import _export  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        raise SettingsError(
            "the export of traces needs the extra otel: add copier-backend-chassis[otel] in pyproject.toml"
        ) from None
    return _export


@asynccontextmanager
async def recording(resource: Mapping[str, str]) -> AsyncGenerator[None]:
    """Export the spans of the block, if an endpoint is set. Raises SettingsError without the extra `otel`."""
    settings = load(TelemetrySettings)
    if not settings.is_on:
        yield
        return
    exporter = load_exporter()
    for name, value in settings:  # the SDK knows neither our defaults nor SECRETS_DIRECTORY
        if text := value.get_secret_value() if isinstance(value, SecretStr) else str(value):
            os.environ[name.upper()] = text
    provider = exporter.start(resource)
    try:
        yield
    finally:
        await exporter.stop(provider)
