"""What becomes of a call: it rings, somebody or nobody picks up, the TwiML is obeyed, it ends."""

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urljoin
from uuid import uuid4

from sandbox.book import INBOUND, LEG, Book, Sent
from sandbox.call_reports import CallReports
from sandbox.cast import Manner, PickUp
from sandbox.config import SandboxConfig
from sandbox.faults import Fate
from sandbox.times import ProductTime, iso
from sandbox.twilio_wire import touch_of
from sandbox.twiml import BadTwiml, Dial, Gather, Hangup, Listen, Redirect, Unknown, Verb, parse
from sandbox.webhooks import NotReached, Tries, Webhooks

log = logging.getLogger("sandbox.voice")

STEP = 0.03  # real seconds between initiated, ringing and what follows
RINGS = 5.0  # product seconds until somebody picks up
FATES: dict[str, PickUp] = {"+15005552001": "busy", "+15005552002": "no-answer", "+15005552003": "failed"}
MOST_DOCUMENTS = 20  # in one call: a circle of redirects ends
PAUSES = (0.5, 1, 2, 4, 5)  # real seconds before one more request for a document: 15 at most, as with Twilio


class _HungUp(Exception):
    """Somebody put the phone down."""


class Calls:
    """Runs every call as a task of its own. `manner` tells how the person at a number is on the phone."""

    def __init__(
        self,
        *,
        config: SandboxConfig,
        book: Book,
        webhooks: Webhooks,
        reports: CallReports,
        clock: ProductTime,
        manner: Callable[[str], Manner],
    ) -> None:
        self.config = config
        self.book = book
        self.webhooks = webhooks
        self.reports = reports
        self.clock = clock
        self.manner = manner
        self._running: set[asyncio.Task[None]] = set()

    def start(self, sid: str) -> None:
        task = asyncio.create_task(_Course(self, sid).run(), name="call")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def resume(self) -> None:
        """After a restart: what still rang rings again; who was talking was cut off, the other party too."""
        unended = "channel = 'voice' AND direction != ? AND status IN ('queued', 'ringing', 'in-progress')"
        for call in self.book.select(unended, (INBOUND,), "seq DESC", 100_000):
            if call.status == "in-progress":
                self.reports.report(call.id, "completed")
            elif call.direction == LEG:
                self.reports.report(call.id, "canceled")
            else:
                self.start(call.id)

    async def stop(self) -> None:
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Course:
    """One call from initiated to its end."""

    def __init__(self, calls: Calls, sid: str) -> None:
        self._calls = calls
        self._sid = sid
        self._talked = 0.0  # product seconds
        self._left = 0.0  # product seconds until the person hangs up

    async def run(self) -> None:
        try:
            await self._run()
        except Exception:
            log.exception("call %s broke", self._sid)
            self._report("failed")

    async def _run(self) -> None:
        call = self._calls.reports.call(self._sid)
        manner = self._calls.manner(call.to)
        pick_up = call.state.get("fate") or FATES.get(call.to) or manner.pick_up
        await asyncio.sleep(STEP)
        self._report("initiated")
        if pick_up == "failed":
            self._report("failed")
            return
        await asyncio.sleep(STEP)
        self._report("ringing")
        await self._ring(call, pick_up)
        if pick_up in {"busy", "no-answer"}:
            self._report(pick_up)
            return
        self._left = manner.stays
        amd = call.state.get("machine_detection")
        answered_by = {"answered_by": _answered_by(pick_up, amd)} if amd else {}
        self._report("in-progress", started_at=iso(datetime.now(UTC)), **answered_by)
        with suppress(_HungUp):
            await self._talk(manner)
        self._report("completed", duration=max(1, math.ceil(self._talked)))

    async def _ring(self, call: Sent, pick_up: str) -> None:
        """In product time, but never longer than the configured real time."""
        seconds = call.state.get("timeout", 60) if pick_up == "no-answer" else RINGS
        with suppress(TimeoutError):
            async with asyncio.timeout(self._calls.config.rings):
                await self._calls.clock.sleep(seconds)

    def _report(self, status: str, **state: object) -> None:
        self._calls.reports.report(self._sid, status, **state)

    # --- the talk ----------------------------------------------------------------------------------------------------

    async def _talk(self, manner: Manner) -> None:
        """Obeys TwiML until it ends, somebody hangs up, or it goes in circles."""
        call = self._calls.reports.call(self._sid)
        url = call.state.get("url") or ""
        text = call.state.get("twiml") or await self._fetch(url, {})
        for _ in range(MOST_DOCUMENTS):
            following = await self._obey(text, url, manner)
            if following is None:
                return
            url, more = following
            text = await self._fetch(url, more)
        log.warning("call %s ended: more than %s documents", self._sid, MOST_DOCUMENTS)

    async def _fetch(self, url: str, more: dict[str, str]) -> str:
        """The TwiML at an address, asked for again as its fragment says. A failure ends the call, as with Twilio."""
        reports = self._calls.reports
        params = {**reports.params(reports.call(self._sid), "in-progress"), **more}
        tries = Tries.of(url)
        for pause in (*PAUSES[: tries.again], None):
            try:
                answer = await self._calls.webhooks.twilio(url, params, token=self._sid)
            except NotReached as error:
                if pause is None:
                    log.warning("call %s: its TwiML was not reached: %s", self._sid, error)
            else:
                if answer.status < 300:
                    return answer.body or "<Response/>"
                if pause is None or not (tries.errors and answer.status >= 500):
                    log.warning("call %s: its TwiML was answered %s", self._sid, answer.status)
                    break
            if pause is not None:
                await asyncio.sleep(pause)
        raise _HungUp

    async def _obey(self, text: str, url: str, manner: Manner) -> tuple[str, dict[str, str]] | None:
        """Follows one document. The next address with what to send along, or None at the end."""
        try:
            verbs = parse(text)
        except BadTwiml as error:
            log.warning("call %s: bad TwiML: %s", self._sid, error)
            return None
        for verb in verbs:
            following = await self._do(verb, url, manner)
            if following is not None:
                return following
        return None

    async def _do(self, verb: Verb, url: str, manner: Manner) -> tuple[str, dict[str, str]] | None:
        match verb:
            case Listen(seconds):
                await self._listen(seconds)
            case Gather():
                for prompt in verb.prompts:
                    await self._listen(prompt.seconds)
                if manner.digits is not None and manner.pick_up == "human":
                    await self._listen(1)
                    return urljoin(url, verb.action or url), {"Digits": manner.digits, "FinishedOnKey": ""}
                await self._listen(verb.timeout)
                if verb.on_empty:
                    return urljoin(url, verb.action or url), {"Digits": ""}
            case Dial():
                outcome = await self._dial(verb, url)
                if verb.action:
                    return urljoin(url, verb.action), outcome
            case Redirect():
                return urljoin(url, verb.url), {}
            case Hangup():
                raise _HungUp
            case Unknown(name):
                log.warning("call %s: the sandbox carrier does not imitate TwiML %s", self._sid, name)
        return None

    async def _dial(self, verb: Dial, url: str) -> dict[str, str]:
        """Calls the other party, who behaves as their persona: a call of its own, child of this one."""
        leg, reports = self._leg(verb, url), self._calls.reports
        self._calls.book.keep([leg])
        other = self._calls.manner(leg.to)
        pick_up = FATES.get(leg.to) or other.pick_up
        for status in ("initiated", "ringing"):
            reports.report(leg.id, status)
        begun, status = self._talked, "completed"
        if pick_up in {"human", "machine_start"}:
            amd = verb.machine_detection
            answered_by = {"answered_by": _answered_by(pick_up, amd)} if amd else {}
            reports.report(leg.id, "in-progress", started_at=iso(datetime.now(UTC)), **answered_by)
            if amd and verb.heard:
                reports.heard(leg.id, urljoin(url, verb.heard))
            await self._listen(other.stays, hang_up=False)
            reports.report(leg.id, "completed", duration=max(1, math.ceil(self._talked - begun)))
        else:
            status = pick_up
            await self._listen(min(RINGS, verb.timeout), hang_up=False)
            reports.report(leg.id, status)
        duration = str(reports.call(leg.id).state.get("duration", 0))
        return {"DialCallStatus": status, "DialCallSid": leg.id, "DialCallDuration": duration}

    def _leg(self, verb: Dial, url: str) -> Sent:
        parent, now = self._calls.reports.call(self._sid), datetime.now(UTC)
        fate = Fate.load(parent.state.get("faults"))
        callback = verb.callback and urljoin(url, verb.callback)
        return Sent(
            id="CA" + uuid4().hex,
            channel="voice",
            to=verb.number,
            sender=verb.caller_id or parent.sender,
            at=iso(now),
            touch_id=touch_of(callback) or parent.touch_id,
            content={"body": ""},
            headers={},
            request={},
            status="queued",
            state={
                "updated_at": iso(now),
                "callback": callback,
                "events": list(verb.events),
                "faults": fate.part("leg").dump(),
            },
            direction=LEG,
            listed_at=fate.listed_at(now),
            parent=parent.id,
        )

    async def _listen(self, seconds: float, *, hang_up: bool = True) -> None:
        """Time passes on the line. Counts only this, not the product's own time to answer. Raises _HungUp."""
        passed = min(seconds, self._left) if hang_up else seconds
        await self._calls.clock.sleep(passed)
        self._talked += passed
        if hang_up:
            self._left -= passed
            if self._left <= 0:
                raise _HungUp


def _answered_by(pick_up: str, detection: str) -> str:
    if pick_up == "human":
        return "human"
    return "machine_end_beep" if detection == "DetectMessageEnd" else "machine_start"
