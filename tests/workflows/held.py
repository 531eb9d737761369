"""What a test holds up on its way, so that something happens meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from domain.ledger import Claim, TouchRef, View
from domain.ports import Accepted, ChannelError
from store.touch_ledger import TouchLedger
from wire.codec import AesCodec

LONGEST = 20.0  # real seconds that a test waits for what must come


@dataclass
class Held:
    """Something on its way that waits at a gate: `await held.reached()`, do what is to happen meanwhile, `release`."""

    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_reached(self) -> bool:
        return self._reached.is_set()

    async def wait(self) -> None:
        self._reached.set()
        await self._released.wait()

    async def reached(self) -> None:
        async with asyncio.timeout(LONGEST):
            await self._reached.wait()

    def release(self) -> None:
        self._released.set()


class HoldingCodec(PayloadCodec):
    """The product's codec; holds up the next message with a payload that is asked for."""

    def __init__(self, codec: AesCodec) -> None:
        self._codec = codec
        self._next: tuple[Callable[[bytes], bool], Held] | None = None

    def hold(self, wanted: Callable[[bytes], bool]) -> Held:
        held = Held()
        self._next = (wanted, held)
        return held

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if self._next is not None and any(self._next[0](payload.data) for payload in payloads):
            (_, held), self._next = self._next, None
            await held.wait()
        return await self._codec.encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self._codec.decode(payloads)


@dataclass
class WatchedLedger:
    """The real ledger. It keeps what it was asked and which claims it granted; an answer can be held up."""

    ledger: TouchLedger
    asked: list[str] = field(default_factory=list)
    claims: list[tuple[datetime, Claim]] = field(default_factory=list)
    held: dict[str, Held] = field(default_factory=dict)

    def hold(self, name: str) -> Held:
        """The next answer of this method (of `claim` the next refusal), which is found and committed, not yet told."""
        self.held[name] = Held()
        return self.held[name]

    async def plan(self, lead_id: str, now: datetime) -> View:
        return await self._tell("plan", await self.ledger.plan(lead_id, now))

    async def claim(self, ref: TouchRef, now: datetime) -> Claim | View:
        answer = await self.ledger.claim(ref, now)
        if isinstance(answer, View):
            return await self._tell("claim", answer)
        self.asked.append("claim")
        self.claims.append((now, answer))
        return answer

    async def begin(self, ref: TouchRef, claim: Claim, now: datetime) -> None:
        await self.ledger.begin(ref, claim, now)

    async def settle(
        self, ref: TouchRef, result: Accepted | ChannelError, now: datetime, claimed_until: datetime | None = None
    ) -> View:
        return await self._tell("settle", await self.ledger.settle(ref, result, now, claimed_until))

    async def rang(self, ref: TouchRef, result: Accepted | ChannelError, now: datetime) -> View:
        return await self._tell("rang", await self.ledger.rang(ref, result, now))

    async def open_task(self, lead_id: str, enrollment: int, step: str, part: str, now: datetime) -> View:
        return await self._tell("open_task", await self.ledger.open_task(lead_id, enrollment, step, part, now))

    async def expire_task(self, lead_id: str, task_id: str, now: datetime) -> View:
        return await self._tell("expire_task", await self.ledger.expire_task(lead_id, task_id, now))

    async def _tell(self, name: str, view: View) -> View:
        self.asked.append(name)
        held = self.held.pop(name, None)
        if held is not None:
            await held.wait()
        return view
