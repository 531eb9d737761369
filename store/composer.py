"""What a touch says: its template with the lead's values, or what a person wrote."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from content.templates import Template, compose_email, render_email, render_sms
from content.values import Voice
from domain.errors import NotFound
from domain.lead_state import STOP
from domain.ledger import TouchRef
from domain.ports import Email, Sms
from domain.sequence import Message
from domain.touches import Channel, first_of
from store import tables
from store.engine import Store
from store.lead_unit import LeadUnit
from store.sequences import SequenceBook


@dataclass(frozen=True)
class Composer:
    """`system`: templates outside sequences (the confirmation of an opt-out)."""

    store: Store
    book: SequenceBook
    voice: Voice
    system: Mapping[str, Template]

    async def message(self, unit: LeadUnit, ref: TouchRef, to: str) -> Sms | Email:
        """A text or a mail: what is said in a call, the voice webhooks and the coordinator say."""
        mailed_to = self.store.vault.blind("email", to) if ref.channel is Channel.EMAIL else b""
        own = await self._own_words(unit, ref)
        if own is not None:
            if ref.channel is Channel.SMS:
                return Sms(ref.touch_id, to, own)
            values = self.voice.values(unit.state, unit.journal.sequence, "", unit.now, mailed_to)
            mail = compose_email(f"A message from {self.voice.organization}", own, values)
            return Email(ref.touch_id, to, mail.subject, mail.text, mail.html)
        template = self._template(unit, ref)
        sealed = {"id": unit.lead_id, "first_name": unit.first_name}
        first_name = str(self.store.vault.open_row(tables.leads, sealed)["first_name"])
        values = self.voice.values(unit.state, unit.journal.sequence, first_name, unit.now, mailed_to)
        if ref.channel is Channel.SMS:
            return Sms(ref.touch_id, to, render_sms(template, values))
        mail = render_email(template, values)
        unsubscribe = values["unsubscribe_link"]
        headers = (
            ("List-Unsubscribe", f"<{unsubscribe}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        )
        return Email(ref.touch_id, to, mail.subject, mail.text, mail.html, headers)

    def _template(self, unit: LeadUnit, ref: TouchRef) -> Template:
        if ref.step == STOP:
            return self.system["opt_out_confirmation"]
        sequence = unit.journal.sequence
        step = sequence.step(ref.step) if sequence else None
        if sequence is None or step is None:
            raise NotFound(f"step {ref.step} is not in the sequence")
        name = first_of(ref.part)
        part = next((p for p in (*step.parts, *([step.at_once] if step.at_once else [])) if p.name == name), None)
        if part is None or not isinstance(part.action, Message):
            raise NotFound(f"step {ref.step} has no message {name}")
        return self.book.template(sequence.key, sequence.version, part.action.template)

    async def _own_words(self, unit: LeadUnit, ref: TouchRef) -> str | None:
        """What a person wrote, for a touch that carries a message of theirs."""
        touch = unit.state.touches.get((ref.enrollment, ref.step, ref.part))
        if touch is None or touch.message_id is None:
            return None
        query = select(tables.messages).where(tables.messages.c.id == touch.message_id)
        row = (await unit.conn.execute(query)).mappings().one()
        return str(self.store.vault.open_row(tables.messages, row)["body"])
