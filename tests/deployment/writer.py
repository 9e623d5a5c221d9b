"""An admin who changes one record now and then through whichever replica is up, and remembers what was acknowledged."""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import NamedTuple, Self

import httpx

from tests.e2e.replica import PLAIN, TOKEN

SERVICE = "changed"
"""The name of the record."""

PAUSE_SECONDS = 0.25
"""Between two writes."""

SERVED_SECONDS = 5.0
"""Until every replica serves a write. The promise is a second; the machine has much else to do here."""

STEPS = 65_536
"""Rates are whole numbers of these, so that they are the same in every format."""


class _Acknowledged(NamedTuple):
    step: int
    at: float


class Writer:
    """Each write gives the record a larger rate than the one before, on a new connection, and is made once."""

    def __init__(self, address: str) -> None:
        self.failures: list[str] = []
        self.acknowledged = [_Acknowledged(0, 0.0)]
        self._url = f"http://{address}/api/v1/config/services/{SERVICE}"
        self._step = 0
        self._stopping = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    @property
    def last(self) -> float:
        """The rate that was acknowledged last."""
        return self.acknowledged[-1].step / STEPS

    def problem(self, rate: float, asked: float) -> str | None:
        """What is wrong with this rate in an answer to a poll: one that was never written, or an old one."""
        step = rate * STEPS
        oldest = max(write.step for write in self.acknowledged if write.at <= asked - SERVED_SECONDS)
        if not step.is_integer() or not oldest <= step <= self._step:
            return f"answered {rate}, which is not {oldest} to {self._step} of {STEPS}"
        return None

    async def write(self) -> httpx.Response:
        """Change the record once, now."""
        self._step += 1
        step = self._step
        body = {"samplingStrategy": {"type": "probabilistic", "param": step / STEPS}}
        async with httpx.AsyncClient(timeout=10, headers={"Authorization": f"Bearer {TOKEN}"}, **PLAIN) as client:
            response = await client.put(self._url, json=body)
        if response.status_code in (200, 202):
            self.acknowledged.append(_Acknowledged(step, monotonic()))
        return response

    async def __aenter__(self) -> Self:
        self._writing = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        if self._writing is not None:
            await self._writing

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                response = await self.write()
                if response.status_code not in (200, 202):
                    self.failures.append(f"{response.status_code}: {response.text}")
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._stopping.wait()
