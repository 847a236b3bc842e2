"""Where spans go, by the variables of OpenTelemetry."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.ops import TelemetrySettings
from chassis.settings import SettingsError, load

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
# What is exported, and as what.
DESCRIBE = """
import asyncio
from opentelemetry import trace
from chassis.ops import recording

async def main():
    async with recording({"service.name": "shop", "service.version": "1"}):
        provider = trace.get_tracer_provider()
        resource = getattr(provider, "resource", None)
        print(resource and [resource.attributes[name] for name in ("service.name", "service.version")], end="; ")
        print(getattr(provider, "sampler", None) and provider.sampler.get_description())

asyncio.run(main())
"""
# A request, and its job in another process.
UNRECORDED = """
from chassis.ops import entry_span, inject, trace_id, traceparent

headers = {}
with entry_span("GET", "server", {}):
    inject(headers)
    request, parent = trace_id.get(), traceparent()
with entry_span("process", "consumer", {"traceparent": parent}):
    inject(headers)
    print(trace_id.get() == request, headers)
"""
WITHOUT = "import sys; sys.modules['opentelemetry.sdk'] = None\n" + DESCRIBE


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("variables", "described"),
    [
        ({}, "None; None"),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, "None; None"),
        (ENDPOINT, "['shop', '1']; ParentBased{root:TraceIdRatioBased{0.1}"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"},
            "['shop', '1']; ParentBased{root:Trace",
        ),
        ({**ENDPOINT, "OTEL_TRACES_SAMPLER": "always_on", "OTEL_SERVICE_NAME": "a"}, "['a', '1']; AlwaysOnSampler"),
        (
            {**ENDPOINT, "OTEL_TRACES_SAMPLER_ARG": "0.5", "OTEL_RESOURCE_ATTRIBUTES": "service.version=2"},
            "['shop', '2']; ParentBased{root:TraceIdRatioBased{0.5}",
        ),
    ],
)
def test_the_standard_variables_decide_what_is_exported(variables: dict[str, str], described: str) -> None:
    done = run(DESCRIBE, **variables)
    assert done.stdout.startswith(described), done.stderr


def test_an_endpoint_may_be_mounted_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "OTEL_EXPORTER_OTLP_ENDPOINT").write_text("http://127.0.0.1:1")
    (tmp_path / "OTEL_TRACES_SAMPLER_ARG").write_text("1")
    assert "TraceIdRatioBased{1.0}" in run(DESCRIBE, SECRETS_DIRECTORY=str(tmp_path)).stdout


def test_without_an_endpoint_the_sdk_is_not_imported() -> None:
    assert run(WITHOUT).stdout.startswith("None; None")


def test_a_trace_that_nobody_records_is_known_to_the_log_and_told_to_nobody() -> None:
    assert run(UNRECORDED).stdout == "True {}\n"


def test_an_endpoint_without_the_extra_is_refused() -> None:
    assert "needs the extra otel" in run(WITHOUT, **ENDPOINT).stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "10"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load(TelemetrySettings)
