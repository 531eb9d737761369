"""What providers tell us: stored once with its facts and its immediate effect, in one transaction each."""

import uuid
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import facts as f
from domain.commands import confirmation
from domain.consequences import PHONE, task_id
from domain.opt_out_words import is_opt_out
from domain.ports import InboundSms, NoMoreMail
from domain.touches import Channel
from store import audit, owed_stops, tables
from store.bare_stops import Kinds, shut, stop_at
from store.engine import HOLDS
from store.inbound_events import heard_once
from store.lead_unit import Leads, LeadUnit
from store.persons import people
from store.round_trip import insert as row_of
from store.round_trip import insert_new, together

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
BY_LINK = "unsubscribed by the link in a mail"


@dataclass(frozen=True)
class Inbound:
    """`confirm`: whether Tend itself answers a stop with its one confirmation (else the carrier does)."""

    leads: Leads
    confirm: bool

    async def reply(self, sms: InboundSms) -> bool:
        """A text of somebody. False if it was known already, or if no lead has this number.

        Raises NewerFact, but not for a stop: who asks to be left alone is, whichever lead cannot be read.
        """
        async with self.leads.store.engine.begin() as conn:
            blind = self.leads.store.vault.blind("phone", sms.sender)
            from_ = await self._sender(conn, ("twilio", sms.event_id, "sms"), "phone", sms.sender, blind)
            if from_ is None:
                return False
            if sms.is_stop or is_opt_out(sms.body):
                if from_.theirs:
                    await self._stop(conn, from_, sms)
                else:
                    await self._stop_of_nobody(conn, from_.address_id, from_.leads, sms)
                return bool(from_.leads)
            # nobody's text is lost: where all had given a wrong number, a person reads it with the newest of them
            own = [[i for i in leads if i in from_.theirs] for leads in (from_.living, from_.finished)]
            wrote = await people(conn, self.leads.store.vault, *own) or from_.leads[:1]
            if not wrote:
                await conn.rollback()  # of a stranger's text nothing is kept, nor the number
                return False
            await self._replied(conn, from_, wrote, sms)
            return True

    async def no_more_mail(self, provider: str, told: NoMoreMail) -> bool:
        """A stop of e-mail for the address. False if it was known already, or if no lead has it."""
        blind = self.leads.store.vault.blind("email", told.address)
        return await self._stop_mail((provider, told.event_id, "opt_out"), told.address, blind, told.cause)

    async def unsubscribed(self, lead_id: str, blind: bytes) -> None:
        """By the link in a mail of a lead that is lost: all that is known of its address is its blind index."""
        await self._stop_mail(("tend", f"{lead_id}:unsubscribed", "opt_out"), None, blind, BY_LINK)

    async def _stop_mail(self, event: tuple[str, str, str], address: str | None, blind: bytes, cause: str) -> bool:
        async with self.leads.store.engine.begin() as conn:
            from_ = await self._sender(conn, event, "email", address, blind)
            if from_ is None:
                return False
            if not from_.leads:
                await shut(self.leads, conn, {from_.address_id: "email"})
                return False
            for lead_id in from_.leads:
                if await owed_stops.told(conn, partial(self._no_more_mail, conn, lead_id, cause)):
                    return True
            await self._stop_unread(conn, from_.leads[0], {from_.address_id: "email"})
        return True

    async def _no_more_mail(self, conn: AsyncConnection, lead_id: str, cause: str) -> None:
        async with self.leads.within(conn, lead_id, locked=True) as unit:
            unit.opt_out((Channel.EMAIL,), cause, "lead")
            unit.audit("lead", "lead_opted_out")

    async def _stop_unread(self, conn: AsyncConnection, lead_id: str, addresses: Kinds) -> None:
        """Of leads none of which can be read."""
        await stop_at(self.leads, conn, addresses)
        await audit.append(conn, "lead", "lead_opted_out", lead_id, "addresses")

    async def _sender(
        self, conn: AsyncConnection, event: tuple[str, str, str], kind: str, value: str | None, blind: bytes
    ) -> "_Sender | None":
        """Whose address it is, in one round trip; None if the event was known.

        The address is made if it is new, and locked: a stop holds for leads that come later too. So are all its leads,
        by id, before one of them is written to: a stop reaches the others after the first.
        """
        vault = self.leads.store.vault
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
        new, _, held, _, _, leads = await together(conn, [heard_once(*event), *asked])
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

    async def _stop_of_nobody(self, conn: AsyncConnection, address_id: str, by: list[str], sms: InboundSms) -> None:
        """Of a number that is no lead's: it is shut; `by` whom it had been given wrongly, there the text is kept."""
        new = await shut(self.leads, conn, {address_id: "phone"})
        for lead_id in by:
            if await owed_stops.told(conn, partial(self._stop_by_stranger, conn, lead_id, sms, new=new)):
                return
        if by:
            await audit.append(conn, "lead", "number_opted_out", by[0], "addresses")

    async def _stop_by_stranger(self, conn: AsyncConnection, lead_id: str, sms: InboundSms, *, new: bool) -> None:
        async with self.leads.within(conn, lead_id, locked=True, spreads=False) as unit:
            self._stopped_by(unit, sms, stranger=True)
            if new and self.confirm and not sms.is_stop:
                self._confirm(unit)

    def _stopped_by(self, unit: LeadUnit, sms: InboundSms, *, stranger: bool = False) -> None:
        message_id = str(uuid.uuid4())
        self._keep(unit, sms, message_id)
        own = task_id(unit.lead_id, message_id)
        said = f.Replied(message_id=message_id, channel=Channel.SMS, task_id=own, intent="opt_out", stranger=stranger)
        unit.append(said, "lead")
        unit.audit("lead", "number_opted_out" if stranger else "lead_opted_out")

    async def _stop(self, conn: AsyncConnection, from_: "_Sender", sms: InboundSms) -> None:
        """Kept with the newest lead that can be read; the stop reaches the others from there."""
        for lead_id in from_.theirs:
            if await owed_stops.told(conn, partial(self._stop_by, conn, lead_id, sms)):
                return
        await self._stop_unread(conn, from_.theirs[0], {from_.address_id: "phone"})

    async def _stop_by(self, conn: AsyncConnection, lead_id: str, sms: InboundSms) -> None:
        async with self.leads.within(conn, lead_id, locked=True) as unit:
            self._stopped_by(unit, sms)
            cause = "the carrier took the text as a stop" if sms.is_stop else "the lead wrote a stop word"
            news = unit.opt_out(PHONE, cause, "lead")
            # one confirmation a number; and a stop that the carrier took is one it has answered
            if news and self.confirm and not sms.is_stop and Channel.SMS not in unit.closed:
                self._confirm(unit)

    def _confirm(self, unit: LeadUnit) -> None:
        unit.append(confirmation(unit.state, unit.now), "system")

    async def _replied(self, conn: AsyncConnection, from_: "_Sender", wrote: list[str], sms: InboundSms) -> None:
        """Kept with the first of those who may have written it. Raises what is wrong where none of them can be read.

        Of others who cannot be the living are owed it, and may have written it as well; the finished are left out.
        """
        if await owed_stops.told(conn, partial(self._keep_with, conn, wrote, frozenset(), sms)):
            return
        unread = set[str]()
        for lead_id in wrote:
            alone = partial(self._keep_with, conn, [lead_id], frozenset(), sms)
            if not await owed_stops.would_hear(conn, alone):
                unread.add(lead_id)
        read = [i for i in wrote if i not in unread]
        may = [*read, *(i for i in wrote if i in unread and i in from_.living)] if read else wrote
        await self._keep_with(conn, may, unread if read else frozenset(), sms)

    async def _keep_with(
        self, conn: AsyncConnection, lead_ids: list[str], unread: AbstractSet[str], sms: InboundSms
    ) -> None:
        owner, message_id = lead_ids[0], str(uuid.uuid4())
        candidates = tuple(lead_ids) if len(lead_ids) > 1 else ()
        who = task_id(owner, "who", message_id) if candidates else None
        for lead_id in sorted(lead_ids, key=lambda i: (i != owner, i)):
            if who is not None and lead_id in unread:
                said = f.Replied(message_id=message_id, channel=Channel.SMS, task_id=who, candidates=candidates)
                await owed_stops.owe(conn, lead_id, [said])
                continue
            async with self.leads.within(conn, lead_id, locked=True, spreads=False) as unit:
                if lead_id == owner:
                    self._keep(unit, sms, message_id)
                unit.append(
                    f.Replied(
                        message_id=message_id,
                        channel=Channel.SMS,
                        task_id=who or task_id(lead_id, "reply", message_id),
                        candidates=candidates,
                    ),
                    "lead",
                )
                unit.audit("lead", "lead_replied")

    def _keep(self, unit: LeadUnit, sms: InboundSms, message_id: str) -> None:
        row = {
            "id": message_id,
            "lead_id": unit.lead_id,
            "direction": "in",
            "channel": Channel.SMS.value,
            "body": sms.body,
            "at": unit.now,
            "provider_id": sms.event_id,
        }
        unit.after.append(row_of(tables.messages, self.leads.store.vault.seal_row(tables.messages, row)))


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
