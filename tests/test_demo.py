"""`bin/demo` says what it checks, checks it, and stops what it started."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow
STEPS = ["create", "install", "start", "sign in", "order", "retry", "job", "once", "validate", "protect", "done"]


def processes_in(folder: str) -> list[str]:
    """List the running processes that name a folder."""
    listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if folder in line and "ps -eo" not in line]


def test_every_step_is_shown_and_nothing_is_left_running(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("demo") / "acme-shop"
    done = subprocess.run([ROOT / "bin" / "demo", folder], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    introduction, steps = done.stdout.split("\n\n")
    assert introduction.startswith("This demo creates a service from the template")
    assert [line[:9].strip() for line in steps.splitlines()] == STEPS
    assert (folder / "uv.lock").exists()
    assert processes_in(str(folder)) == []


def test_it_says_what_it_does_before_anything_is_installed(tmp_path: Path) -> None:
    """Without uv on the path it would be installed first, which takes a while."""
    demo = tmp_path / "bin" / "demo"
    demo.parent.mkdir()
    shutil.copy(ROOT / "bin" / "demo", demo)
    (demo.parent / "with-uv").write_text("#!/bin/sh\necho installing\n")
    (demo.parent / "with-uv").chmod(0o755)
    caches = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([demo], check=True, capture_output=True, text=True, env=caches)
    assert done.stdout.startswith("This demo creates a service from the template")
    assert f"Downloads stay in {tmp_path}/.cache/uv; " in done.stdout
    assert f"\n{tmp_path}/.cache/copier-backend.\n" in done.stdout
    assert done.stdout.endswith("\n\ninstalling\n")


def test_ctrl_c_stops_a_service_that_was_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("kept") / "acme-shop"
    command = [str(ROOT / "bin" / "demo"), str(folder), "--keep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        printed = ""
        while "Ctrl-C stops it" not in printed and process.poll() is None:
            printed += process.stdout.readline()
        assert "/docs" in printed
        assert processes_in(str(folder)) != []
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    limit = time.monotonic() + 10
    while processes_in(str(folder)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert processes_in(str(folder)) == []


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("full")
    (folder / "precious").touch()
    done = subprocess.run([ROOT / "bin" / "demo", folder], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is not empty: use a new folder" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["precious"]
