"""Times the job queue beside the same on plain asyncpg, on a PostgreSQL with default durability: `just bench-jobs`.

In each round the queue and its references run one after the other, on one server. A result is the median over the
rounds, with its range. `chassis_jobs.py` is what is measured, `plain_jobs.py` has the references.
"""

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHASSIS = ROOT / "template" / "chassis"
PYTHON = CHASSIS / ".venv" / "bin" / "python"
# Connections of a worker's jobs, and of the reference; the default of WORKER_CONCURRENCY.
CONCURRENCY = 20
CLIENTS = 16
# Fewer do not run two workers and PostgreSQL beside each other.
ENOUGH_CORES = 4
# Two workers have begun several times their concurrency.
MIN_JOBS = 200
MIN_SAMPLES = 10
# Jobs at first that are not timed from commit to start: the processes open their connections.
COLD_JOBS = 5
# Seconds for the answer to a command, and for a process to end.
PATIENCE = 150
GRACE = 30
MAX_ANSWER = 2**26

# With default durability, unlike the server of tests.
SERVER = """
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from chassis.dev.postgres import Cluster
folder = mkdtemp(prefix="bench-")
cluster = Cluster(Path(folder))
try:
    cluster.start("-c", "max_connections=200")
    print(cluster.url("postgres"), flush=True)
    sys.stdin.read()
finally:
    cluster.stop()
    rmtree(folder)
"""
PROGRAM = "from scripts import {0}; {0}.main()"

type Pairs = Mapping[str, Sequence[tuple[float, float]]]


class BenchError(Exception):
    """A process ended early, or a measurement left jobs or effects out."""


class Program:
    """A process that answers one command after the other, each on a line."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  # any JSON
        """Send a command and return its answer. Raises BenchError."""
        if self._process.stdin is None:
            raise BenchError("the process has no pipes")
        self._process.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
        return json.loads(await self.line())

    async def line(self) -> bytes:
        """Read a line of its output. Raises BenchError."""
        if self._process.stdout is None:
            raise BenchError("the process has no pipes")
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise BenchError(f"a process ended:\n{self._log.read_text()[-3000:]}")
        return line


@asynccontextmanager
async def running(log: Path, variables: Mapping[str, str], *arguments: str) -> AsyncGenerator[Program]:
    """Run Python in the environment of the chassis; the process ends when its input does."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            PYTHON,
            *arguments,
            cwd=ROOT,
            env=os.environ | variables,
            stdin=PIPE,
            stdout=PIPE,
            stderr=output,
            limit=MAX_ANSWER,
        )
    try:
        yield Program(process, log)
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


class Bench:
    """The processes, and what they measure: what is the queue's is first of a pair, its reference second."""

    def __init__(self, reference: Program, client: Program, workers: Sequence[Program], jobs: int) -> None:
        self._reference = reference
        self._client = client
        self._workers = workers
        self._jobs = jobs

    async def prepare(self) -> None:
        """Create the tables."""
        await self._client.ask("migrate")
        await self._reference.ask("prepare")

    async def round(self, samples: int) -> Mapping[str, tuple[float, float]]:
        """Measure everything once; `samples` jobs are timed from commit to start."""
        no_op = await self._reference_rate("delete"), await self._drain("do_nothing", 0)
        effect = await self._reference_rate("run"), await self._drain("write_effect", self._jobs)
        both = await self._drain("write_effect", self._jobs, 2)
        delays = await self._delays(samples)
        return {
            "no-op": no_op[::-1],
            "effect": effect[::-1],
            "enqueue by one": await self._enqueue(1),
            "enqueue by many": await self._enqueue(CLIENTS),
            "WAL": await self._wal(),
            "delay": (median(delays), 0),
            "long delay": (quantiles(delays, n=20)[-1], 0),
            "two workers": (both, effect[1]),
        }

    async def _reference_rate(self, command: str) -> float:
        await self._reference.ask("empty")
        await self._reference.ask("fill", count=self._jobs)
        rate = await self._reference.ask(command, count=self._jobs)
        await self._check(effects=self._jobs if command == "run" else 0)
        return float(rate)

    async def _drain(self, task: str, effects: int, workers: int = 1) -> float:
        """Fill the queue, and return how many jobs ended in a second between the first start and the last."""
        await self._reference.ask("empty")
        await self._client.ask("fill", task=task, count=self._jobs)
        started = await self._work(workers)
        await self._check(effects)
        # At the last start, this many jobs run.
        return (len(started) - CONCURRENCY * workers) / (started[-1] - started[0])

    async def _work(self, workers: int) -> list[float]:
        """Let workers empty the queue, and return when each job was started."""
        for worker in self._workers[:workers]:
            await worker.ask("work")
        started = await asyncio.gather(*(worker.ask("finish") for worker in self._workers[:workers]))
        return sorted(time for each in started for time in each.values())

    async def _enqueue(self, clients: int) -> tuple[float, float]:
        await self._reference.ask("empty")
        other = await self._reference.ask("enqueue", count=self._jobs, clients=clients)
        own = await self._client.ask("enqueue", count=self._jobs, clients=clients)
        if await self._reference.ask("left") != [self._jobs, self._jobs, 0]:
            raise BenchError("not every job was queued")
        return own, other

    async def _wal(self) -> tuple[float, float]:
        """Return the kB for one job with its effect, and for the effect alone."""
        begin = await self._begin_wal()
        await self._client.ask("enqueue", count=self._jobs, clients=CLIENTS)
        await self._work(1)
        own = await self._reference.ask("wal") - begin
        await self._check(self._jobs)
        begin = await self._begin_wal()
        await self._reference.ask("write_effects", count=self._jobs)
        return own / self._jobs / 1000, (await self._reference.ask("wal") - begin) / self._jobs / 1000

    async def _begin_wal(self) -> int:
        """Return the position after a checkpoint, with tables that have no page of which it needs an image."""
        await self._reference.ask("empty")
        await self._reference.ask("checkpoint")
        return int(await self._reference.ask("wal"))

    async def _delays(self, samples: int) -> list[float]:
        """Return the milliseconds from commit to start of jobs for which the worker has to wake up."""
        await self._reference.ask("empty")
        await self._workers[0].ask("work")
        committed = await self._client.ask("trickle", count=samples + COLD_JOBS)
        started = await self._workers[0].ask("finish")
        return [1000 * (started[name] - time) for name, time in committed.items()][COLD_JOBS:]

    async def _check(self, effects: int) -> None:
        left = await self._reference.ask("left")
        if left != [0, 0, effects]:
            raise BenchError(f"jobs of the queue, of the reference, and effects: {left}, not [0, 0, {effects}]")


async def measure(folder: Path, rounds: int, jobs: int, samples: int) -> Pairs:
    """Start the server and the processes, and measure after a round that warms up."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(folder / "server.log", {}, "-c", SERVER))
        url = (await server.line()).decode().strip()
        variables = {"DATABASE_URL": url, "WORKER_CONCURRENCY": str(CONCURRENCY)}
        reference, client, *workers = [
            await stack.enter_async_context(running(folder / f"{name}.log", variables, "-c", PROGRAM.format(program)))
            for name, program in (
                ("reference", "plain_jobs"),
                ("client", "chassis_jobs"),
                ("worker", "chassis_jobs"),
                ("other worker", "chassis_jobs"),
            )
        ]
        bench = Bench(reference, client, workers, jobs)
        await bench.prepare()
        await bench.round(samples)
        measured = [await bench.round(samples) for _ in range(rounds)]
    return {name: [each[name] for each in measured] for name in measured[0]}


def ratio(own: float, other: float) -> float:
    return own / other


def difference(own: float, other: float) -> float:
    return own - other


@dataclass(frozen=True)
class Row:
    """A measurement and its goal: a ratio is to be at least that, a difference at most."""

    title: str
    unit: str
    reference: str = ""
    goal: float | None = None
    compare: Callable[[float, float], float] = ratio

    def line(self, pairs: Sequence[tuple[float, float]], remark: str = "") -> str:
        own, other = (median(column) for column in zip(*pairs, strict=True))
        results = [self.compare(*pair) for pair in pairs]
        cells = (
            self.title,
            self._amount(own),
            f"{self._amount(other)} {self.reference}" if self.reference else "",
            f"{median(results):.2f} ({min(results):.2f} to {max(results):.2f})",
            self._verdict(median(results), remark),
        )
        return f"| {' | '.join(cells)} |"

    def _amount(self, value: float) -> str:
        return f"{value:,.0f} {self.unit}" if self.compare is ratio else f"{value:.2f} {self.unit}"

    def _verdict(self, result: float, remark: str) -> str:
        if self.goal is None:
            return ""
        bound, is_met = ("at least", result >= self.goal) if self.compare is ratio else ("at most", result <= self.goal)
        return f"{bound} {self.goal:.2f}: {remark or ('met' if is_met else 'missed')}"


ROWS = {
    "no-op": Row("no-op without transaction", "jobs/s", "bare deletes", 0.30),
    "effect": Row("a handler that writes one row", "jobs/s", "bare claim, insert, delete", 0.85),
    "enqueue by one": Row("enqueue, one client", "jobs/s", "bare insert", 0.80),
    "enqueue by many": Row(f"enqueue, {CLIENTS} clients", "jobs/s", "bare insert", 0.80),
    "WAL": Row("WAL per job", "kB", "for the effect", 0.70, difference),
    "delay": Row("commit to start, median", "ms", goal=1.50, compare=difference),
    "long delay": Row("commit to start, 95th percentile", "ms", compare=difference),
    "two workers": Row("2 workers", "jobs/s", "one worker", 1.60),
}


def report(measured: Pairs, cores: int) -> str:
    """Return the table; with few cores, how much a second worker adds says nothing about the queue."""
    lines = ["| measurement | queue | reference | result (range) | goal |", "| --- | --- | --- | --- | --- |"]
    for name, pairs in measured.items():
        few = name == "two workers" and cores < ENOUGH_CORES
        lines.append(ROWS[name].line(pairs, f"not measurable with {cores} cores" if few else ""))
    return "\n".join([*lines, "", f"{cores} cores"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=2000, help="of each measurement, in each round")
    parser.add_argument("--samples", type=int, default=100, help="jobs timed from commit to start, in each round")
    parser.add_argument("--quick", action="store_true", help="one round of few jobs, whose numbers mean little")
    options = parser.parse_args()
    if options.jobs < MIN_JOBS or options.rounds < 1 or options.samples < MIN_SAMPLES:
        parser.error(f"at least one round, {MIN_JOBS} jobs, {MIN_SAMPLES} samples")
    numbers = (1, MIN_JOBS, MIN_SAMPLES) if options.quick else (options.rounds, options.jobs, options.samples)
    subprocess.run(["uv", "sync", "--quiet"], cwd=CHASSIS, check=True)
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(measure(Path(folder), *numbers))
    print(report(measured, os.process_cpu_count() or 1))


if __name__ == "__main__":
    main()
