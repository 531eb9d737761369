"""A call's statuses: each kept together with the callback that tells of it."""

import math
import time
from datetime import UTC, datetime

from sandbox.book import Book, Sent, Step
from sandbox.callbacks import Callbacks
from sandbox.config import SandboxConfig
from sandbox.faults import Fate
from sandbox.times import iso, rfc2822

EVENTS = ("initiated", "ringing", "answered", "completed")
EVENT_OF = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}  # any other: completed
HEARD = 1000  # stands for the number of this callback among those of a call: it has none of its own
ENDS = ("completed", "busy", "no-answer", "failed", "canceled")


class CallReports:
    def __init__(self, config: SandboxConfig, book: Book, callbacks: Callbacks) -> None:
        self._config = config
        self._book = book
        self._callbacks = callbacks

    def report(self, sid: str, status: str, **state: object) -> None:
        """The new status, and its callback if it was asked for: both are kept, or none."""
        call = self.call(sid)
        now = iso(datetime.now(UTC))
        known = {**state, "sequence": int(call.state.get("sequence", -1)) + 1}
        if status in ENDS:
            known["ended_at"] = now
        kept = "queued" if status == "initiated" else status
        steps = self._book.change(sid, kept, known, lambda changed: self._callback(changed, status, now))
        self._callbacks.expect(steps)

    def heard(self, sid: str, url: str) -> None:
        """Tells an address who picked up, as asynchronous detection does: the call goes on meanwhile."""
        call = self.call(sid)
        params = {
            "CallSid": sid,
            "AccountSid": self._config.account_sid,
            "AnsweredBy": call.state["answered_by"],
            "MachineDetectionDuration": "2000",
        }
        step = Step(time.time(), "twilio", params, url, sid)
        told = Fate.load(call.state.get("faults")).callback(step, HEARD)
        self._callbacks.expect(self._book.keep([], told))

    def params(self, call: Sent, status: str) -> dict[str, str]:
        """What every request about a call says."""
        params = {
            "CallSid": call.id,
            "AccountSid": self._config.account_sid,
            "ApiVersion": "2010-04-01",
            "CallStatus": status,
            "Direction": call.direction,
            "From": call.sender,
            "To": call.to,
            "Caller": call.sender,
            "Called": call.to,
        }
        if call.parent:
            params["ParentCallSid"] = call.parent
        if call.state.get("answered_by"):
            params["AnsweredBy"] = call.state["answered_by"]
        return params

    def call(self, sid: str) -> Sent:
        call = self._book.get(sid, "voice")
        assert call is not None, "a call is kept before it runs"
        return call

    def _callback(self, call: Sent, status: str, now: str) -> list[Step]:
        """The status is kept already, so the step bears only the callback."""
        url, event, number = call.state.get("callback"), EVENT_OF.get(status, "completed"), call.state["sequence"]
        if not url or event not in call.state["events"]:
            return []
        params = {
            **self.params(call, status),
            "CallbackSource": "call-progress-events",
            "Timestamp": rfc2822(now) or "",
            "SequenceNumber": str(number),
        }
        if event == "completed":
            duration = int(call.state.get("duration", 0))
            params["CallDuration"] = str(duration)
            params["Duration"] = str(math.ceil(duration / 60))
        step = Step(time.time(), "twilio", params, url, call.id)
        return Fate.load(call.state.get("faults")).callback(step, number)
