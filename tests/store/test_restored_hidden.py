"""A carrier's list that hides numbers: what is known by its id is known, of the rest nobody knows whose it is."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import text

from config.settings import Settings
from domain.ports import InboundSms, OutcomeUnknown
from stack import rebuild
from stack.database import Tools
from stack.preflight import StartError
from store import home
from tests.store.a_copy import NOTICED_BEFORE, NUMBER, Restored

HIDDEN = ""


async def test_what_is_known_by_its_id_is_known_without_its_number(copy: Restored) -> None:
    lead = await copy.clinic.inquire()
    await copy.send_first(lead, sid="SM1")
    await copy.clinic.inbound.reply(InboundSms("SM2:received", NUMBER, "+15005550006", "What does it cost?"))
    copy.noticed = datetime.now(UTC)
    copy.carrier.has("SM1", to=HIDDEN)
    copy.carrier.has("SM2", "What does it cost?", to=HIDDEN, inbound=True)
    compared = await copy.compare()
    assert (compared.known, compared.stopped, compared.strangers) == (1, 0, 0)
    assert (compared.replies, compared.unread, compared.untaken) == (0, {}, 0)


@pytest.mark.parametrize("inbound", [True, False])
async def test_of_anything_else_nobody_knows_whose_it_is(copy: Restored, *, inbound: bool) -> None:
    await copy.clinic.inquire()
    copy.carrier.has("SM1", "STOP", to=HIDDEN, inbound=inbound)
    copy.carrier.has("SM2", "What does it cost?", inbound=True)
    with pytest.raises(OutcomeUnknown, match="hides the numbers of 1 texts or calls"):
        await copy.compare()


async def test_so_nothing_is_sent_and_no_flag_goes_on_without_it(
    copy: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = copy.clinic.store.engine
    async with engine.begin() as conn:
        await home.put_back(conn)
        await conn.execute(text(NOTICED_BEFORE))
    copy.carrier.has("CA1", to=HIDDEN, call=True)
    monkeypatch.setattr(rebuild, "TwilioLists", lambda _: copy.carrier)
    settings = Settings(_env_file=None, twilio_account_sid="AC" + "0" * 32, twilio_auth_token="0" * 32)
    tools = cast(Tools, SimpleNamespace(engine=engine, leads=copy.clinic.leads, clock=copy.clock))
    with pytest.raises(StartError, match=r"cannot be read .it hides the numbers"):
        await rebuild._compare(settings, tools, rebuild.Options(restored=True, without_unread=True))
    async with engine.connect() as conn:
        assert await home.is_copy(conn)
