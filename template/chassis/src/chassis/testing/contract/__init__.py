"""The contract of a service: requests made from its OpenAPI document get the answers that it documents.

Over real HTTP to real processes, so that the server's own answers are seen too. FUZZ_EXAMPLES is how many examples of
each operation are made, and adds those at the limits of the schemas; FUZZ_SEEDS are the seeds.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chassis.runtime import Service
from chassis.testing._processes import Backend, Start

__all__ = ["test_every_answer_is_documented"]

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SEEDS = os.environ.get("FUZZ_SEEDS", "1").split()
# Of each operation at random; the document's limits suggest more, and the sequences come on top.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
PHASES = "examples,coverage,fuzzing,stateful" if "FUZZ_EXAMPLES" in os.environ else "examples,fuzzing,stateful"


def scopes_of(paths: dict[str, Any]) -> str:
    """Gather all scopes that the operations require."""
    operations = [operation for path in paths.values() for operation in path.values()]
    required = [required for operation in operations for required in operation.get("security", ())]
    return " ".join(sorted({scope for each in required for scopes in each.values() for scope in scopes}))


def fuzz(document: Path, backend: Backend, seed: str) -> tuple[int, int, str]:
    """Run every check of schemathesis; give its status, how many requests it made, and what it printed."""
    options = [f"--config-file={CONFIGURATION}", "run", str(document), f"--url={backend.url}", f"--seed={seed}"]
    command = [sys.executable, "-m", "schemathesis.cli", *options, f"--max-examples={EXAMPLES}", f"--phases={PHASES}"]
    token = backend.headers.get("Authorization", "").removeprefix("Bearer ")
    # What schemathesis writes stays beside the document. Its own code is not measured.
    measured = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    variables = measured | {"BEARER": token}
    done = subprocess.run(command, cwd=document.parent, env=variables, check=False, capture_output=True, text=True)
    made = re.search(r"(\d+) generated", done.stdout)
    return done.returncode, int(made[1]) if made else 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_answer_is_documented(service: Service, start: Start, tmp_path: Path, seed: str) -> None:
    if not any(module.router for module in service.modules):
        pytest.skip("no module has a route yet")
    document = tmp_path / "openapi.json"
    described = service.create_api().openapi()
    document.write_text(json.dumps(described), encoding="utf-8")
    backend = await start(scopes_of(described["paths"]))
    status, made, printed = fuzz(document, backend, seed)
    sys.stdout.write(printed)  # `just fuzz` shows it
    assert status == 0, printed
    assert made > 0, printed
