"""Requests of the sidecar take turns."""

import asyncio

from server.sidecar.turns import Turns


async def test_a_probe_waits_for_no_crowd_of_other_requests_and_probes_for_each_other() -> None:
    turns, crowd = Turns(), 200
    for probe in (True, False):
        waiting = [asyncio.create_task(turns.wait(probe=probe)) for _ in range(crowd)]
        await asyncio.sleep(0)
        await turns.wait(probe=not probe)
        assert sum(one.done() for one in waiting) < crowd / 2
        await turns.wait(probe=probe)
        assert all(one.done() for one in waiting)
