"""What providers tell us: stored once with its facts and its immediate effect, in one transaction each."""

import uuid
from dataclasses import dataclass, replace

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import commands
from domain import facts as f
from domain.carrier_news import what_became
from domain.consequences import PHONE, task_id
from domain.lead_state import STOP
from domain.opt_out_words import is_opt_out
from domain.ports import HeardMachine, InboundSms, NoMoreMail, TouchUpdate
from domain.touches import SETTLED, Channel, Disposition, TouchStatus, may_become, touch_id
from store import tables
from store.lead_unit import Leads, LeadUnit
from store.persons import not_strangers, people
from store.round_trip import together

_TOUCH = "SELECT lead_id, status, channel, provider_id FROM touches WHERE id = %(touch)s"
_EVENT = (
    "INSERT INTO inbound_events (provider, event_id, kind) VALUES (%(provider)s, %(event_id)s, %(kind)s)"
    " ON CONFLICT DO NOTHING RETURNING event_id"
)


@dataclass(frozen=True)
class Inbound:
    """`confirm`: whether Tend itself answers a stop with its one confirmation (else the carrier does)."""

    leads: Leads
    confirm: bool

    async def reply(self, sms: InboundSms) -> bool:
        """A text of somebody. False if it was known already, or if no lead has this number."""
        async with self.leads.store.engine.begin() as conn:
            if not await _first_time(conn, "twilio", sms.event_id, "sms"):
                return False
            address_id = await self._address(conn, "phone", sms.sender)
            living, finished = await _leads_at(conn, address_id)
            theirs = await not_strangers(conn, address_id, [*living, *finished])
            if sms.is_stop or is_opt_out(sms.body):
                if theirs:
                    await self._stop(conn, theirs[0], sms)
                else:
                    await self._stop_of_nobody(conn, address_id, [*living, *finished][:1], sms)
                return bool(living or finished)
            # nobody's text is lost: where all had given a wrong number, a person reads it with the newest of them
            own = [[i for i in leads if i in theirs] for leads in (living, finished)]
            wrote = await people(conn, self.leads.store.vault, *own) or [*living, *finished][:1]
            if not wrote:
                await conn.rollback()  # of a stranger's text nothing is kept, nor the number
                return False
            await self._replied(conn, wrote, sms)
            return True

    async def update(self, provider: str, update_: TouchUpdate) -> bool:
        """What became of a touch. False if it was known already, or the touch is not ours.

        A touch is there before its request: what is nobody's will not be anybody's. Most news, that a text was sent,
        tells nothing that its answer did not: for that the lead is not locked.
        """
        table = tables.touches
        async with self.leads.store.engine.connect() as conn:
            known = await _touch(conn, update_.touch_id)
        if known is None or known.heard(update_):
            return False
        async with self.leads.lead(known.lead_id) as unit:
            if not await _first_time(unit.conn, provider, update_.event_id, "status"):
                return False
            if update_.disposition is Disposition.ANSWERED and await _is_machine(unit.conn, update_.provider_id):
                update_ = replace(update_, disposition=Disposition.VOICEMAIL)
            for fact in list(what_became(unit.state, update_, unit.closed)):
                unit.append(fact, "carrier")
            if known.provider_id is None:  # the first witness of a claim whose answer never came
                first = update(table).where(table.c.id == update_.touch_id, table.c.provider_id.is_(None))
                unit.after.append(first.values(provider_id=update_.provider_id))
        return True

    async def heard_machine(self, told: HeardMachine) -> bool:
        """Kept until the call has ended. False if it was known already, or the touch is not ours."""
        async with self.leads.store.engine.begin() as conn:
            ours = await lead_of_touch(conn, told.touch_id) is not None
            return ours and await _first_time(conn, "twilio", _machine(told.provider_id), "machine")

    async def no_more_mail(self, provider: str, told: NoMoreMail) -> bool:
        """A stop of e-mail for the address. False if it was known already, or if no lead has it."""
        async with self.leads.store.engine.begin() as conn:
            if not await _first_time(conn, provider, told.event_id, "opt_out"):
                return False
            address_id = await self._address(conn, "email", told.address)
            living, finished = await _leads_at(conn, address_id)
            if not living and not finished:
                await self._shut(conn, address_id, (Channel.EMAIL,))
                return False
            async with self.leads.within(conn, (living or finished)[0], locked=True) as unit:
                facts = commands.opt_out(unit.state, (Channel.EMAIL,), told.cause, unit.closed)
                for fact in facts:
                    unit.append(fact, "lead")
                unit.audit("lead", "lead_opted_out")
        return True

    async def _address(self, conn: AsyncConnection, kind: str, value: str) -> str:
        """The row of the address, made if it is new, and locked: a stop holds for leads that come later too."""
        vault, table = self.leads.store.vault, tables.addresses
        blind = vault.blind(kind, value)
        row = {"id": str(uuid.uuid4()), "kind": kind, "value": value, "blind": blind}
        await conn.execute(insert(table).values(vault.seal_row(table, row)).on_conflict_do_nothing())
        locked = select(table.c.id).where(table.c.kind == kind, table.c.blind == blind).with_for_update()
        return str((await conn.execute(locked)).scalar_one())

    async def _shut(self, conn: AsyncConnection, address_id: str, channels: tuple[Channel, ...]) -> bool:
        """A stop on an address that is no lead's. Whether texts went there until now."""
        now, new = self.leads.now(), False
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
                await self._stopped_by(unit, sms, stranger=True)
                if new and self.confirm and not sms.is_stop:
                    self._confirm(unit)

    async def _stopped_by(self, unit: LeadUnit, sms: InboundSms, *, stranger: bool = False) -> None:
        message_id = await self._keep(unit, sms)
        own = task_id(unit.lead_id, message_id)
        said = f.Replied(message_id=message_id, channel=Channel.SMS, task_id=own, intent="opt_out", stranger=stranger)
        unit.append(said, "lead")
        unit.audit("lead", "number_opted_out" if stranger else "lead_opted_out")

    async def _stop(self, conn: AsyncConnection, first: str, sms: InboundSms) -> None:
        async with self.leads.within(conn, first, locked=True) as unit:
            await self._stopped_by(unit, sms)
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
                    message_id = await self._keep(unit, sms)
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

    async def _keep(self, unit: LeadUnit, sms: InboundSms) -> str:
        row = {
            "id": str(uuid.uuid4()),
            "lead_id": unit.lead_id,
            "direction": "in",
            "channel": Channel.SMS.value,
            "body": sms.body,
            "at": unit.now,
            "provider_id": sms.event_id,
        }
        sealed = self.leads.store.vault.seal_row(tables.messages, row)
        await unit.conn.execute(insert(tables.messages).values(sealed))
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


async def _touch(conn: AsyncConnection, touch_id: str) -> _Touch | None:
    """By the id that a callback carries; None for anything that is no touch of ours."""
    try:
        wanted = str(uuid.UUID(touch_id))
    except ValueError:
        return None
    [rows] = await together(conn, [(_TOUCH, {"touch": wanted})])
    if not rows:
        return None
    row = rows[0]
    return _Touch(str(row["lead_id"]), TouchStatus(row["status"]), Channel(row["channel"]), row["provider_id"])


async def lead_of_touch(conn: AsyncConnection, touch_id: str) -> str | None:
    """Whose touch it is, by the id that a callback carries; None for anything that is no touch of ours."""
    touch = await _touch(conn, touch_id)
    return touch.lead_id if touch is not None else None


def _machine(call_id: str) -> str:
    return f"{call_id}:machine"


async def _is_machine(conn: AsyncConnection, call_id: str) -> bool:
    event = tables.inbound_events.c
    known = select(event.event_id).where(event.provider == "twilio", event.event_id == _machine(call_id))
    return await conn.scalar(known) is not None


async def _first_time(conn: AsyncConnection, provider: str, event_id: str, kind: str) -> bool:
    [new] = await together(conn, [(_EVENT, {"provider": provider, "event_id": event_id, "kind": kind})])
    return bool(new)


async def _leads_at(conn: AsyncConnection, address_id: str) -> tuple[list[str], list[str]]:
    """Living and finished leads with this address, newest first.

    All are locked here, by id, before one of them is written to: a stop reaches the others after the first.
    """
    lead, link = tables.leads, tables.lead_addresses
    here = select(link.c.lead_id).where(link.c.address_id == address_id)
    await conn.execute(select(lead.c.id).where(lead.c.id.in_(here)).order_by(lead.c.id).with_for_update())
    query = (
        select(lead.c.id, lead.c.exit_reason)
        .join(link, link.c.lead_id == lead.c.id)
        .where(link.c.address_id == address_id)
        .order_by(lead.c.created_at.desc(), lead.c.id)
    )
    rows = (await conn.execute(query)).all()
    return [str(i) for i, reason in rows if reason is None], [str(i) for i, reason in rows if reason is not None]
