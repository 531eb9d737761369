"""One touch activity with fake ports, run as Temporal would run it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities import watch as module
from activities.touches import TouchActivities
from domain.clock import Clock
from domain.ledger import Claim, View
from domain.next_action import Touch, Wait
from domain.ports import Call, Email, Search, Sms
from domain.touches import Channel, touch_id
from tests.activities.ports import CLAIM_LIVES, LEAD, STARTED, FakeChannel, FakeLedger, Stopwatch, view
from workflows.messages import Do, DoRef, Plan

LATER = view(Wait(STARTED + timedelta(hours=1), "next: bio"))


@dataclass
class Bench:
    """`channel`: of the one touch that it carries out."""

    channel: Channel
    watch: Stopwatch
    ledger: FakeLedger
    channels: dict[Channel, FakeChannel]
    attempt: int = 1

    @property
    def carrier(self) -> FakeChannel:
        return self.channels[self.channel]

    @property
    def touch(self) -> Touch:
        return Touch(1, "confirm", "only", self.channel, touch_id(LEAD, 1, "confirm", "only"))

    @property
    def message(self) -> Sms | Email | Call:
        identity = self.touch.touch_id
        match self.channel:
            case Channel.SMS:
                return Sms(identity, "+12125550101", "Hello")
            case Channel.EMAIL:
                return Email(identity, "ada@example.com", "Hello", "Hello", "<p>Hello</p>")
            case Channel.VOICE:
                return Call(identity, "+12125550101")

    def claims(self, *, after: float = 0.0) -> None:
        """The next claim is granted, and `after` seconds go by before the activity hears of it."""

        def granted(now: datetime) -> Claim:
            self.watch.seconds += after
            return Claim(self.message, now + timedelta(seconds=CLAIM_LIVES))

        self.ledger.claimed = granted

    def holds(self, *, left: float, over: bool = False) -> Claim:
        """An earlier try claimed it, and its claim lasts `left` seconds yet. `over`: that try has had its end."""
        deadline = STARTED + timedelta(seconds=left)
        claim = Claim(self.message, deadline, Search(deadline - timedelta(seconds=CLAIM_LIVES), over=over))
        self.ledger.claimed = lambda _: claim
        return claim

    def refuses(self, instead: View) -> None:
        self.ledger.claimed = lambda _: instead

    async def run(self, wall: datetime = STARTED) -> Plan:
        """Raises what the activity raises."""
        env = ActivityEnvironment()
        env.info = replace(env.info, started_time=STARTED, attempt=self.attempt)
        sms, voice, email = (self.channels[c] for c in (Channel.SMS, Channel.VOICE, Channel.EMAIL))
        do = Do(
            kind="touch",
            enrollment=1,
            step="confirm",
            part="only",
            channel=self.channel,
            touch_id=self.touch.touch_id,
        )
        activities = TouchActivities(self.ledger, Clock(), sms, voice, email, lambda: wall)
        return await env.run(activities.touch, DoRef(lead_id=LEAD, do=do))


@pytest.fixture(params=list(Channel))
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bench:
    watch = Stopwatch()
    monkeypatch.setattr(module, "time", watch)
    return Bench(request.param, watch, FakeLedger(LATER), {channel: FakeChannel(watch) for channel in Channel})
