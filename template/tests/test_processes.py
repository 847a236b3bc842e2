"""The real processes, started by the command line."""

from chassis.testing import Start


async def test_the_processes_start_and_stop(start: Start) -> None:
    backend = await start("")
    assert (await backend.api.terminate())[0] == 0
    assert (await backend.worker.terminate())[0] == 0
