"""What becomes of a call: it rings, somebody or nobody picks up, the TwiML is obeyed, it ends."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urljoin

from sandbox.book import Book, Sent, Step
from sandbox.callbacks import Callbacks
from sandbox.cast import Manner
from sandbox.config import SandboxConfig
from sandbox.times import ProductTime, iso, rfc2822
from sandbox.twiml import BadTwiml, Dial, Gather, Hangup, Listen, Redirect, Unknown, Verb, parse
from sandbox.webhooks import NotReached, Webhooks

log = logging.getLogger("sandbox.voice")

STEP = 0.03  # real seconds between initiated, ringing and what follows
RINGS = 5.0  # product seconds until somebody picks up
EVENT_OF = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}
ENDS = ("completed", "busy", "no-answer", "failed", "canceled")
MOST_DOCUMENTS = 20  # in one call: a circle of redirects ends


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
        callbacks: Callbacks,
        clock: ProductTime,
        manner: Callable[[str], Manner],
    ) -> None:
        self.config = config
        self.book = book
        self.webhooks = webhooks
        self.callbacks = callbacks
        self.clock = clock
        self.manner = manner
        self._running: set[asyncio.Task[None]] = set()

    def start(self, sid: str) -> None:
        task = asyncio.create_task(_Course(self, sid).run(), name="call")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def resume(self) -> None:
        """After a restart: what still rang rings again; who was talking was cut off."""
        unended = "channel = 'voice' AND status IN ('queued', 'ringing', 'in-progress')"
        for call in self.book.select(unended, (), "seq", 100_000):
            if call.status == "in-progress":
                _Course(self, call.id).report("completed")
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
            self.report("failed")

    async def _run(self) -> None:
        call = self._call()
        manner = self._calls.manner(call.to)
        pick_up = call.state.get("fate") or manner.pick_up
        await asyncio.sleep(STEP)
        self.report("initiated")
        if pick_up == "failed":
            self.report("failed")
            return
        await asyncio.sleep(STEP)
        self.report("ringing")
        await self._ring(call, pick_up)
        if pick_up in {"busy", "no-answer"}:
            self.report(pick_up)
            return
        self._left = manner.stays
        amd = call.state.get("machine_detection")
        answered_by = {"answered_by": _answered_by(pick_up, amd)} if amd else {}
        self.report("in-progress", started_at=iso(datetime.now(UTC)), **answered_by)
        with suppress(_HungUp):
            await self._talk(manner)
        self.report("completed", duration=max(1, math.ceil(self._talked)))

    async def _ring(self, call: Sent, pick_up: str) -> None:
        """In product time, but never longer than the configured real time."""
        seconds = call.state.get("timeout", 60) if pick_up == "no-answer" else RINGS
        with suppress(TimeoutError):
            async with asyncio.timeout(self._calls.config.rings):
                await self._calls.clock.sleep(seconds)

    # --- callbacks ---------------------------------------------------------------------------------------------------

    def report(self, status: str, **state: object) -> None:
        """The new status, and its callback if it was asked for."""
        call = self._call()
        known = {k: v for k, v in state.items() if v is not None}
        number = int(call.state.get("sequence", -1)) + 1
        if status in ENDS:
            known["ended_at"] = iso(datetime.now(UTC))
        changed = self._calls.book.change(
            self._sid, "queued" if status == "initiated" else status, sequence=number, **known
        )
        if changed is None or not (url := changed.state.get("callback")):
            return
        event = EVENT_OF.get(status, "completed")
        if event not in changed.state["events"]:
            return
        params = {
            **self._params(changed, status),
            "CallbackSource": "call-progress-events",
            "Timestamp": rfc2822(iso(datetime.now(UTC))) or "",
            "SequenceNumber": str(number),
        }
        if event == "completed":
            duration = int(changed.state.get("duration", 0))
            params["CallDuration"] = str(duration)
            params["Duration"] = str(math.ceil(duration / 60))
        # the status is kept already, so the step bears only the callback
        self._calls.callbacks.post(Step(time.time(), "twilio", params, url, self._sid))

    def _params(self, call: Sent, status: str) -> dict[str, str]:
        params = {
            "CallSid": call.id,
            "AccountSid": self._calls.config.account_sid,
            "ApiVersion": "2010-04-01",
            "CallStatus": status,
            "Direction": "outbound-api",
            "From": call.sender,
            "To": call.to,
            "Caller": call.sender,
            "Called": call.to,
        }
        if call.state.get("answered_by"):
            params["AnsweredBy"] = call.state["answered_by"]
        return params

    def _call(self) -> Sent:
        call = self._calls.book.get(self._sid, "voice")
        assert call is not None, "a call is kept before it runs"
        return call

    # --- the talk ----------------------------------------------------------------------------------------------------

    async def _talk(self, manner: Manner) -> None:
        """Obeys TwiML until it ends, somebody hangs up, or it goes in circles."""
        call = self._call()
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
        """The TwiML at an address; one more try if nobody was there. A failure ends the call, as with Twilio."""
        params = {**self._params(self._call(), "in-progress"), **more}
        for last in (False, True):
            try:
                answer = await self._calls.webhooks.twilio(url, params, token=self._sid)
            except NotReached as error:
                if last:
                    log.warning("call %s: its TwiML was not reached: %s", self._sid, error)
                    break
                await asyncio.sleep(0.5)
            else:
                if answer.status < 300:
                    return answer.body or "<Response/>"
                log.warning("call %s: its TwiML was answered %s", self._sid, answer.status)
                break
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
                status = await self._dial(verb)
                if verb.action:
                    return urljoin(url, verb.action), {"DialCallStatus": status}
            case Redirect():
                return urljoin(url, verb.url), {}
            case Hangup():
                raise _HungUp
            case Unknown(name):
                log.warning("call %s: the sandbox carrier does not imitate TwiML %s", self._sid, name)
        return None

    async def _dial(self, verb: Dial) -> str:
        """The other party behaves as their persona. This leg is no call of its own in the lists."""
        other = self._calls.manner(verb.number)
        if other.pick_up in {"human", "machine_start"}:
            await self._listen(other.stays, hang_up=False)
            return "completed"
        await self._listen(min(RINGS, verb.timeout), hang_up=False)
        return str(other.pick_up)

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
