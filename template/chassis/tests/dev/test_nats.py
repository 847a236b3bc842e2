"""A project has a NATS of its own in development, which another project may use."""

import os
from pathlib import Path

import pytest

from chassis.dev import nats


def test_the_address_of_the_server_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nats, "project_folder", lambda: tmp_path)
    monkeypatch.setenv("NATS_URL", "")
    with nats.development():
        assert capsys.readouterr().out == f"NATS      {os.environ['NATS_URL']}\n"


def test_a_recipe_uses_the_server_that_another_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats, "project_folder", lambda: tmp_path)
    monkeypatch.setenv("NATS_URL", "")
    with nats.development():
        url = os.environ["NATS_URL"]
        os.environ["NATS_URL"] = ""
        with nats.development():
            assert os.environ["NATS_URL"] == url
        assert nats.answers(int(url.rpartition(":")[2]))
    os.environ["NATS_URL"] = ""
    with nats.development():
        assert os.environ["NATS_URL"] != url


def test_the_server_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NATS_URL", "nats://user:password@127.0.0.1")
    with nats.development():
        assert os.environ["NATS_URL"] == "nats://user:password@127.0.0.1"
    assert capsys.readouterr().out == ""
