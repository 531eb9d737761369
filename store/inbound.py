"""What providers tell us: stored once with its facts and its immediate effect, in one transaction each."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import commands
from domain import facts as f
from domain.carrier_news import what_became
from domain.consequences import PHONE, task_id
from domain.errors import NewerFact, NotFound
from domain.lead_state import STOP
from domain.opt_out_words import is_opt_out
from domain.ports import HeardMachine, InboundSms, NoMoreMail, TouchUpdate
from domain.touches import SETTLED, Channel, Disposition, TouchStatus, may_become, touch_id
from store import tables
from store.engine import HOLDS
from store.lead_unit import Leads, LeadUnit
from store.persons import people
from store.round_trip import Row, Statement, alone, insert_new, together
from store.round_trip import insert as row_of

_TOUCH = "SELECT lead_id, status, channel, provider_id FROM touches WHERE id = %(touch)s"
_WITNESSED = "UPDATE touches SET provider_id = %(provider)s WHERE id = %(touch)s AND provider_id IS NULL"
_EVENT = (
    "INSERT INTO inbound_events (provider, event_id, kind) VALUES (%(provider)s, %(event_id)s, %(kind)s)"
    " ON CONFLICT DO NOTHING RETURNING event_id"
)
_LOCK_ADDRESS = "SELECT id FROM addresses WHERE kind = %(kind)s AND blind = %(blind)s FOR UPDATE"
_HERE = "(SELECT id FROM addresses WHERE kind = %(kind)s AND blind = %(blind)s)"
_LOCK_LEADS = (
    f"SELECT id FROM leads WHERE id IN (SELECT lead_id FROM lead_addresses WHERE address_id = {_HERE})"  # noqa: S608 - our own words
    " ORDER BY id FOR UPDATE"
)
_LEADS = (
    f"SELECT l.id, l.exit_reason, a.wrong FROM lead_addresses a JOIN leads l ON l.id = a.lead_id"  # noqa: S608
    f" WHERE a.address_id = {_HERE} ORDER BY l.created_at DESC, l.id"
)


@dataclass(frozen=True)
class Inbound:
    """`confirm`: whether Tend itself answers a stop with its one confirmation (else the carrier does)."""

    leads: Leads
    confirm: bool

    async def reply(self, sms: InboundSms) -> bool:
        """A text of somebody. False if it was known already, or if no lead has this number.

        Raises NewerFact: nothing is kept but, of a stop, that the number is shut.
        """
        stop = sms.is_stop or is_opt_out(sms.body)
        async with self._unread("phone", sms.sender, PHONE if stop else ()), self.leads.store.engine.begin() as conn:
            from_ = await self._sender(conn, ("twilio", sms.event_id, "sms"), "phone", sms.sender)
            if from_ is None:
                return False
            if stop:
                if from_.theirs:
                    await self._stop(conn, from_.theirs[0], sms)
                else:
                    await self._stop_of_nobody(conn, from_.address_id, from_.leads[:1], sms)
                return bool(from_.leads)
            # nobody's text is lost: where all had given a wrong number, a person reads it with the newest of them
            own = [[i for i in leads if i in from_.theirs] for leads in (from_.living, from_.finished)]
            wrote = await people(conn, self.leads.store.vault, *own) or from_.leads[:1]
            if not wrote:
                await conn.rollback()  # of a stranger's text nothing is kept, nor the number
                return False
            await self._replied(conn, wrote, sms)
            return True

    async def update(self, update_: TouchUpdate) -> bool:
        """What became of a touch. False if it was known already. Raises NotFound: no touch of ours.

        A touch is there before its request: what is nobody's will not be anybody's. Most news, that a text was sent,
        tells nothing that its answer did not: for that the lead is not locked. A repeat needs no note of its own: a
        status never goes back, so what was told once changes nothing the second time.
        """
        asked = _touch(update_.touch_id)
        known = _read_touch(await alone(self.leads.store.engine, asked)) if asked is not None else None
        if known is None:
            raise NotFound("no touch with this id")
        if known.heard(update_):
            return False
        async with self.leads.lead(known.lead_id) as unit:
            if update_.disposition is Disposition.ANSWERED and await _is_machine(unit.conn, update_.provider_id):
                update_ = replace(update_, disposition=Disposition.VOICEMAIL)
            for fact in list(what_became(unit.state, update_, unit.closed)):
                unit.append(fact, "carrier")
            if known.provider_id is None:  # the first witness of a claim whose answer never came
                unit.after.append((_WITNESSED, {"touch": update_.touch_id, "provider": update_.provider_id}))
            return bool(unit.journal.appended)

    async def heard_machine(self, told: HeardMachine) -> bool:
        """Kept until the call has ended. False if it was known already, or the touch is not ours."""
        async with self.leads.store.engine.begin() as conn:
            ours = await lead_of_touch(conn, told.touch_id) is not None
            if not ours:
                return False
            [new] = await together(conn, [_event("twilio", _machine(told.provider_id), "machine")])
            return bool(new)

    async def no_more_mail(self, provider: str, told: NoMoreMail) -> bool:
        """A stop of e-mail for the address. False if it was known already, or if no lead has it."""
        shuts = self._unread("email", told.address, (Channel.EMAIL,))
        async with shuts, self.leads.store.engine.begin() as conn:
            from_ = await self._sender(conn, (provider, told.event_id, "opt_out"), "email", told.address)
            if from_ is None:
                return False
            if not from_.leads:
                await self._shut(conn, from_.address_id, (Channel.EMAIL,))
                return False
            async with self.leads.within(conn, from_.leads[0], locked=True) as unit:
                facts = commands.opt_out(unit.state, (Channel.EMAIL,), told.cause, unit.closed)
                for fact in facts:
                    unit.append(fact, "lead")
                unit.audit("lead", "lead_opted_out")
        return True

    async def _sender(
        self, conn: AsyncConnection, event: tuple[str, str, str], kind: str, value: str
    ) -> "_Sender | None":
        """Whose address it is, in one round trip; None if the event was known.

        The address is made if it is new, and locked: a stop holds for leads that come later too. So are all its leads,
        by id, before one of them is written to: a stop reaches the others after the first.
        """
        vault, blind = self.leads.store.vault, self.leads.store.vault.blind(kind, value)
        row = {"id": str(uuid.uuid4()), "kind": kind, "value": value, "blind": blind}
        here = {"kind": kind, "blind": blind}
        address = insert_new(tables.addresses, vault.seal_row(tables.addresses, row))
        asked = [
            address,
            (_LOCK_ADDRESS, here),
            (_LOCK_LEADS, here),
            (f"SELECT {HOLDS}", {}),
            (_LEADS, here),
        ]
        new, _, held, _, _, leads = await together(conn, [_event(*event), *asked])
        while not held:  # it was there, and has just been forgotten (store/sweep.py)
            _, held, _, _, leads = await together(conn, asked)
        if not new:
            return None
        return _Sender(
            str(held[0]["id"]),
            [str(row["id"]) for row in leads if row["exit_reason"] is None],
            [str(row["id"]) for row in leads if row["exit_reason"] is not None],
            frozenset(str(row["id"]) for row in leads if row["wrong"]),
        )

    @asynccontextmanager
    async def _unread(self, kind: str, value: str, channels: tuple[Channel, ...]) -> AsyncIterator[None]:
        """The lead may have a fact that this release cannot read: a stop shuts its address all the same.

        Told again, to a release that can, it is taken in whole.
        """
        try:
            yield
        except NewerFact:
            if channels:
                async with self.leads.store.engine.begin() as conn:
                    here = {"kind": kind, "blind": self.leads.store.vault.blind(kind, value)}
                    held, _ = await together(conn, [(_LOCK_ADDRESS, here), (f"SELECT {HOLDS}", {})])
                    await self._shut(conn, str(held[0]["id"]), channels)
            raise

    async def _shut(self, conn: AsyncConnection, address_id: str, channels: tuple[Channel, ...]) -> bool:
        """A stop on an address that is no lead's. Whether texts went there until now."""
        now, new = await self.leads.now_by(conn), False
        for channel in channels:
            row = {"address_id": address_id, "channel": channel.value, "cause": "opt_out", "at": now}
            stop, known = insert(tables.stops).values(row), tables.stops.c
            shut = stop.on_conflict_do_update(
                index_elements=["address_id", "channel"], set_={"cause": "opt_out"}, where=known.cause != "opt_out"
            )
            closed = (known.address_id == address_id, known.channel == channel.value)
            was = await conn.scalar(select(known.channel).where(*closed))
            await conn.execute(shut)
            new |= channel is Channel.SMS and was is None
        return new

    async def _stop_of_nobody(self, conn: AsyncConnection, address_id: str, by: list[str], sms: InboundSms) -> None:
        """Of a number that is no lead's: it is shut; `by` whom it had been given wrongly, there the text is kept."""
        new = await self._shut(conn, address_id, PHONE)
        for lead_id in by:
            async with self.leads.within(conn, lead_id, locked=True, spreads=False) as unit:
                self._stopped_by(unit, sms, stranger=True)
                if new and self.confirm and not sms.is_stop:
                    self._confirm(unit)

    def _stopped_by(self, unit: LeadUnit, sms: InboundSms, *, stranger: bool = False) -> None:
        message_id = self._keep(unit, sms)
        own = task_id(unit.lead_id, message_id)
        said = f.Replied(message_id=message_id, channel=Channel.SMS, task_id=own, intent="opt_out", stranger=stranger)
        unit.append(said, "lead")
        unit.audit("lead", "number_opted_out" if stranger else "lead_opted_out")

    async def _stop(self, conn: AsyncConnection, first: str, sms: InboundSms) -> None:
        async with self.leads.within(conn, first, locked=True) as unit:
            self._stopped_by(unit, sms)
            cause = "the carrier took the text as a stop" if sms.is_stop else "the lead wrote a stop word"
            facts = commands.opt_out(unit.state, PHONE, cause, unit.closed)
            for new in facts:
                unit.append(new, "lead")
            # one confirmation a number; and a stop that the carrier took is one it has answered
            if facts and self.confirm and not sms.is_stop and Channel.SMS not in unit.closed:
                self._confirm(unit)

    def _confirm(self, unit: LeadUnit) -> None:
        number = unit.state.enrollment.number if unit.state.enrollment else 0
        part = f"confirm{unit.state.last_no}"
        unit.append(
            f.TouchChanged(
                touch_id=touch_id(unit.lead_id, number, STOP, part),
                enrollment=number,
                step=STOP,
                part=part,
                channel=Channel.SMS,
                status=TouchStatus.PLANNED,
                due_at=unit.now,
            ),
            "system",
        )

    async def _replied(self, conn: AsyncConnection, lead_ids: list[str], sms: InboundSms) -> None:
        owner, message_id = lead_ids[0], None
        candidates = tuple(lead_ids) if len(lead_ids) > 1 else ()
        for lead_id in sorted(lead_ids, key=lambda i: (i != owner, i)):
            async with self.leads.within(conn, lead_id, locked=True, spreads=False) as unit:
                if message_id is None:
                    message_id = self._keep(unit, sms)
                open_reply = next(
                    (t.id for t in unit.state.tasks.values() if t.living and t.kind is f.TaskKind.REPLY), None
                )
                task = task_id(owner, "who", message_id) if candidates else open_reply
                unit.append(
                    f.Replied(
                        message_id=message_id,
                        channel=Channel.SMS,
                        task_id=task or task_id(lead_id, "reply", message_id),
                        candidates=candidates,
                    ),
                    "lead",
                )
                unit.audit("lead", "lead_replied")

    def _keep(self, unit: LeadUnit, sms: InboundSms) -> str:
        row = {
            "id": str(uuid.uuid4()),
            "lead_id": unit.lead_id,
            "direction": "in",
            "channel": Channel.SMS.value,
            "body": sms.body,
            "at": unit.now,
            "provider_id": sms.event_id,
        }
        unit.after.append(row_of(tables.messages, self.leads.store.vault.seal_row(tables.messages, row)))
        return str(row["id"])


@dataclass(frozen=True, slots=True)
class _Touch:
    lead_id: str
    status: TouchStatus
    channel: Channel
    provider_id: str | None

    def heard(self, told: TouchUpdate) -> bool:
        """Whether this can change nothing any more: a status never goes back."""
        plain = told.disposition is None and told.remedy is None and self.provider_id is not None
        return plain and self.status in SETTLED and not may_become(self.status, told.status, self.channel)


@dataclass(frozen=True, slots=True)
class _Sender:
    """An address and its leads, newest first. `strangers`: those who were found to have given it wrongly."""

    address_id: str
    living: list[str]
    finished: list[str]
    strangers: frozenset[str]

    @property
    def leads(self) -> list[str]:
        return [*self.living, *self.finished]

    @property
    def theirs(self) -> list[str]:
        return [i for i in self.leads if i not in self.strangers]


def _touch(touch_id: str) -> Statement | None:
    """Asks for it by the id that a callback carries; None for what is no id of ours."""
    try:
        return _TOUCH, {"touch": str(uuid.UUID(touch_id))}
    except ValueError:
        return None


def _read_touch(rows: list[Row]) -> _Touch | None:
    if not rows:
        return None
    row = rows[0]
    return _Touch(str(row["lead_id"]), TouchStatus(row["status"]), Channel(row["channel"]), row["provider_id"])


async def lead_of_touch(conn: AsyncConnection, touch_id: str) -> str | None:
    """Whose touch it is, by the id that a callback carries; None for anything that is no touch of ours."""
    asked = _touch(touch_id)
    if asked is None:
        return None
    [rows] = await together(conn, [asked])
    touch = _read_touch(rows)
    return touch.lead_id if touch is not None else None


def _machine(call_id: str) -> str:
    return f"{call_id}:machine"


async def _is_machine(conn: AsyncConnection, call_id: str) -> bool:
    event = tables.inbound_events.c
    known = select(event.event_id).where(event.provider == "twilio", event.event_id == _machine(call_id))
    return await conn.scalar(known) is not None


def _event(provider: str, event_id: str, kind: str) -> Statement:
    """Answers a row the first time only."""
    return _EVENT, {"provider": provider, "event_id": event_id, "kind": kind}
