"""One lead's story told by the pure domain: jump from due time to due time, do what it says, read it as a table."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain import carry_out, commands, desk, task_commands
from domain import facts as f
from domain.access import Actor, Role
from domain.consequences import Book, enroll, task_id
from domain.journal import Journal
from domain.lead_state import STOP, Hold, LeadState, Stage, State
from domain.next_action import Action, ExpireTask, Finish, OpenTask, Touch, Wait
from domain.ports import OutcomeUnknown, Remedy, Unseen
from domain.schedule import direct, looked_for
from domain.touches import Channel, Disposition, TouchStatus, may_become, touch_id
from domain.unknown import still_unknown
from tests.domain.sequences import BOOK

NEW_YORK = "America/New_York"
LEASE = timedelta(minutes=15)
COORDINATOR = Actor("k1", "Coordinator", Role.COORDINATOR, phone="+12025550143")
_AT_ONE_INSTANT = 60  # actions; more means that it would go on for ever

PUT_OFF = timedelta(minutes=30)

Row = tuple[str, str, str, str]
Ends = tuple[TouchStatus, Remedy | None]


def ny(text: str) -> datetime:
    """`"2026-03-02 10:00"` in New York, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(NEW_YORK)).astimezone(UTC)


class Story:
    """A lead that asked at `start`. Every act is one transaction of its own, as in production."""

    def __init__(
        self,
        start: datetime,
        *,
        zones: tuple[str, ...] = (NEW_YORK,),
        phone: bool = True,
        email: bool = True,
        stopped: tuple[Channel, ...] = (),
        book: Book = BOOK,
        sequence: str = "consultation",
        source: str = "web_form",
    ) -> None:
        self.book = book
        self.now = start
        self.state = LeadState("lead-1")
        self.records: list[f.Recorded] = []
        self.shown = 0
        self.closed: frozenset[Channel] = frozenset()  # the channels stopped on the addresses, beside the lead's own
        self.stale = 0  # timers whose `then` was no longer what a new plan says
        self.watch: Callable[[LeadState, Touch], None] = lambda state, touch: None
        self.at_the_desk = True  # who dialled presses 1 as soon as their line rings
        self.slow: Ends | None = None  # how the next request will end, if its provider takes a while
        self.in_flight: tuple[Touch, Ends] | None = None
        self.listed: set[str] = set()  # the touches that the provider's list shows
        self.tell(f.Inquired(source=source, zones=zones, phone=phone, email=email, stopped=stopped))
        self.tell(enroll(self.state, book.latest(sequence), "inquired"))

    # --- what happens to the lead -----------------------------------------------------------------------------------

    def tell(self, *facts: f.Fact) -> f.Recorded:
        journal = Journal(self.state, self.book)
        recorded = [journal.append(fact, self.now, "test") for fact in facts]
        self._keep(journal)
        return recorded[-1]

    def replies(self, message: str = "m1") -> str:
        task = task_id(self.state.lead_id, "reply", message)
        self.tell(f.Replied(message_id=message, channel=Channel.SMS, task_id=task))
        return task

    def answers(self, message: str = "a1") -> None:
        """A person writes back, which closes the open reply tasks."""
        self.tell(*commands.message(self.state, Channel.SMS, message, self.now))

    def opts_out(self, *channels: Channel, confirmed: bool = False) -> None:
        stopped = commands.opt_out(self.state, channels or tuple(Channel), "STOP")
        number = self.state.enrollment.number if self.state.enrollment else 0
        confirmation = f.TouchChanged(
            touch_id=touch_id(self.state.lead_id, number, STOP, "m"),
            enrollment=number,
            step=STOP,
            part="m",
            channel=Channel.SMS,
            status=TouchStatus.PLANNED,
            due_at=self.now,
        )
        self.tell(*stopped, *([confirmation] if confirmed else []))

    def scheduler_says(
        self,
        event: str,
        starts: datetime | None = None,
        *,
        of: str = "A",
        occurred: datetime | None = None,
        facility: str | None = None,
    ) -> None:
        self.tell(
            f.AppointmentChanged(
                event=f.BookingEvent(event),
                appointment_id=of,
                starts_at=starts,
                occurred_at=occurred or self.now,
                facility=facility,
            )
        )

    def provider_says(
        self, step: str, part: str, status: TouchStatus, *, remedy: Remedy | None = None, code: str | None = None
    ) -> None:
        """A callback about a touch of the present enrollment."""
        assert self.state.enrollment is not None
        touch = self.state.touches[(self.state.enrollment.number, step, part)]
        self.tell(
            f.TouchChanged(
                touch_id=touch.touch_id,
                enrollment=touch.enrollment,
                step=step,
                part=part,
                channel=touch.channel,
                status=status,
                remedy=remedy,
                code=code,
            )
        )

    def call(self, step: str) -> str:
        """The id of the call task of a step of the present enrollment."""
        assert self.state.enrollment is not None
        number = self.state.enrollment.number
        return next(t.id for t in self.state.tasks.values() if (t.enrollment, t.step) == (number, step))

    def claims(self, task: str) -> None:
        self.tell(*task_commands.claim(self.state, task, COORDINATOR, self.now, LEASE))

    def call_ends(self, task: str, disposition: Disposition) -> None:
        self.tell(f.CallEnded(task_id=task, touch_id="t", disposition=disposition))

    def completes(
        self,
        task: str,
        outcome: f.Outcome | None = None,
        disposition: Disposition | None = None,
        callback_at: datetime | None = None,
    ) -> None:
        self.tell(
            *task_commands.complete(self.state, task, COORDINATOR, disposition, outcome, None, callback_at, self.now)
        )

    # --- time -------------------------------------------------------------------------------------------------------

    def run(self, until: str | datetime | timedelta) -> "Story":
        """Lets product time go on to `until` (New York's time), doing what falls due."""
        self.lands()
        target = ny(until) if isinstance(until, str) else self.now + until if isinstance(until, timedelta) else until
        assert target >= self.now
        busy = 0
        while True:
            action = self.decide()
            match action:
                case Wait(until=at, then=then):
                    assert at is None or at > self.now, f"a wait that is over: {action}"
                    if at is None or at > target:
                        self.now = target
                        return self
                    self.now, busy = at, 0
                    if then is not None and self.decide() != then:
                        self.stale += 1
                case Finish():
                    nothing_waits(self.state)
                    self.now = target
                    return self
                case _:
                    self._do(action)
                    if self.in_flight is not None:  # the workflow waits for its activity, whatever comes meanwhile
                        return self
                    busy += 1
                    assert busy < _AT_ONE_INSTANT, f"goes round in circles: {action}"

    def decide(self) -> Action:
        journal = Journal(self.state, self.book)
        action = carry_out.decide(journal, self.now, self.closed)
        self._keep(journal)
        return action

    def _do(self, action: Action) -> None:
        match action:
            case Touch() if carry_out.may_be_out(Journal(self.state, self.book), action):
                self._look(action)
            case Touch():
                self.watch(self.state, action)
                known = self.state.touches.get((action.enrollment, action.step, action.part))
                if known is not None and known.task_id is not None:
                    self._ring(action)
                else:
                    self._hand_over(action)
            case OpenTask():
                self._carry(lambda j: carry_out.open_task(j, action, self.now, self.closed))
            case ExpireTask(task_id=task):
                self._carry(lambda j: carry_out.expire_task(j, task, self.now))
            case _:
                raise AssertionError(action)

    def _hand_over(self, touch: Touch) -> None:
        journal = Journal(self.state, self.book)
        allowed = carry_out.passes(journal, touch, self.now, self.closed)
        if allowed:
            carry_out.claim(journal, touch, self.now)
        self._keep(journal)
        if allowed and self.slow is not None:
            self.in_flight, self.slow = (touch, self.slow), None
        elif allowed:
            self._carry(lambda j: carry_out.change(j, touch, TouchStatus.ACCEPTED, self.now))

    def _ring(self, touch: Touch) -> None:
        journal = Journal(self.state, self.book)
        allowed = carry_out.passes(journal, touch, self.now, self.closed)
        if allowed:
            carry_out.ring(journal, touch, self.now, self.now + desk.WAITS)
        self._keep(journal)
        if allowed and self.at_the_desk:
            self.presses_1()

    def presses_1(self) -> None:
        """The one whose line rings."""
        (touch,) = [t for t in self.state.touches.values() if desk.rings(t)]
        assert touch.channel is not None
        self._hand_over(Touch(touch.enrollment, touch.step, touch.part, touch.channel, touch.touch_id))

    def _look(self, touch: Touch) -> None:
        """The provider's list is searched, on a clock whose real and product time are one."""
        if touch.touch_id in self.listed:
            return self.changes(touch, TouchStatus.ACCEPTED)
        known = self.state.touches[touch.enrollment, touch.step, touch.part]
        again = still_unknown(known, touch.channel, lambda real: self.now + real, Unseen("not there"))
        return self.changes(touch, TouchStatus.UNKNOWN, **again)

    def lands(self) -> None:
        """What a provider was slow to answer is settled, as the ledger does: a callback may have been here first."""
        if self.in_flight is None:
            return
        (touch, (status, remedy)), self.in_flight = self.in_flight, None
        more: dict[str, Any] = {"remedy": remedy}
        if status is TouchStatus.DELAYED:
            more |= {"until": self.now + PUT_OFF, "rule": "channel.unavailable", "reason": "away"}
        if status is TouchStatus.UNKNOWN:
            known = self.state.touches[touch.enrollment, touch.step, touch.part]
            more |= still_unknown(known, touch.channel, lambda real: self.now + real, OutcomeUnknown("cut"))
        if may_become(self.state.touches[touch.enrollment, touch.step, touch.part].status, status, touch.channel):
            self._carry(lambda journal: carry_out.change(journal, touch, status, self.now, **more))

    def changes(self, touch: Action, status: TouchStatus, **more: Any) -> None:
        """The touch that was decided on takes a status, as the ledger writes it."""
        assert isinstance(touch, Touch)
        self._carry(lambda journal: carry_out.change(journal, touch, status, self.now, **more))

    def _carry(self, do: Callable[[Journal], None]) -> None:
        journal = Journal(self.state, self.book)
        do(journal)
        self._keep(journal)

    def _keep(self, journal: Journal) -> None:
        self.state = journal.state
        self.records += journal.appended

    # --- reading it -------------------------------------------------------------------------------------------------

    def stage(self) -> Stage:
        return self.state.stage

    def stands(self) -> State:
        return self.state.state

    def table(self, zone: str = NEW_YORK) -> list[Row]:
        """What happened since the last look: (time, step, part, what), without claims."""
        rows = [row for r in self.records[self.shown :] if (row := _row(r, zone)) is not None]
        self.shown = len(self.records)
        return rows

    def sent(self, zone: str = NEW_YORK) -> list[Row]:
        return [row for row in self.table(zone) if row[3] == "sent"]


def nothing_waits(state: LeadState) -> None:
    """What is over has nothing left to do by itself: its workflow ends with it, and no timer would ring for it."""
    assert not direct(state), "what a person asked for is forgotten"
    assert not looked_for(state), "nobody looks whether it went out"
    assert not [t for t in state.tasks.values() if t.living and t.expires_at()], "a task is nobody's"


def clock(at: datetime, zone: str) -> str:
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%m-%d %H:%M}" + (f":{local:%S}" if local.second else "")


def _row(record: f.Recorded, zone: str) -> Row | None:  # one case a fact
    at = clock(record.at, zone)
    match record.fact:
        case f.TouchChanged(status=TouchStatus.CLAIMED):
            return None
        case f.TouchChanged(status=TouchStatus.ACCEPTED) as t:
            return at, t.step, t.part, "sent"
        case f.TouchChanged(status=TouchStatus.DELAYED, until=until) as t:
            assert until is not None
            return at, t.step, t.part, f"waits until {clock(until, zone)}"
        case f.TouchChanged(status=TouchStatus.SKIPPED) as t:
            return at, t.step, t.part, f"skipped: {t.rule}"
        case f.TouchChanged() as t:
            return at, t.step, t.part, t.status.value
        case f.TaskOpened() as o:
            return at, o.step or "-", o.task_kind.value, "opened"
        case f.TaskReturned() as o:
            return at, "-", "task", "escalated" if o.escalated else "returned"
        case f.TaskEscalated():
            return at, "-", "task", "escalated"
        case f.TaskClosed() as c:
            return at, "-", "task", c.state.value
        case f.Enrolled() as e:
            return at, "-", "-", f"enrolled {e.sequence}"
        case f.Resumed():
            return at, "-", "-", "resumed"
        case f.Finished() as e:
            return at, "-", "-", f"finished: {e.exit_reason}"
        case _:
            return None


def booked(starts: str = "2026-06-10 10:00", at: str = "2026-06-02 12:00") -> Story:
    """Asked two hours before `at`, booked then; the confirmation is out."""
    story = Story(ny(at) - timedelta(hours=2)).run(at)
    story.scheduler_says("booked", ny(starts))
    story.run(timedelta(seconds=1))
    return story


def at_the_call() -> Story:
    """10:05, and a coordinator holds the first call."""
    story = Story(ny("2026-03-02 10:00")).run("2026-03-02 10:05")
    story.claims(story.call("call1"))
    story.table()
    return story


def at_noon() -> Story:
    """A Tuesday in summer, noon: confirmation and bio are out, the first call is missed."""
    story = Story(ny("2026-06-02 10:00")).run("2026-06-02 12:00")
    story.table()
    return story


def paused(story: Story, until: str | None = None) -> None:
    story.tell(*commands.pause(story.state, "on holiday", ny(until) if until else None, story.now))


def resume(story: Story, mode: commands.Mode = "shift", of: Hold | None = None) -> None:
    enrollment = story.state.enrollment
    sequence = story.book.get(enrollment.sequence, enrollment.version) if enrollment else None
    story.tell(*commands.resume(story.state, sequence, story.now, mode, of))


def going_on(story: Story) -> list[Row]:
    story.run(timedelta(days=12))
    return [r for r in story.table() if r[1] != "-" and r[3] != "missed" and r[1] != "staff"]


def moved(by: timedelta) -> list[Row]:
    """What an undisturbed lead gets after noon, so much later (it must stay within the windows)."""
    plan = [
        ("2026-06-02 14:00", "call2", "call", "opened"),
        ("2026-06-03 10:00", "link", "sms", "sent"),
        ("2026-06-05 10:00", "edu", "email", "sent"),
        ("2026-06-09 10:00", "end", "call", "opened"),
        ("2026-06-09 10:00", "end", "email", "sent"),
    ]
    return [(clock(ny(at) + by, NEW_YORK), step, part, what) for at, step, part, what in plan]
