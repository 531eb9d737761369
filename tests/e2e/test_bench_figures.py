"""The benchmarks themselves: what failed is the slowest of all, and both sides that are compared get the same."""

import asyncio
import math
import os
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from twilio.request_validator import RequestValidator

from bench import burst, figures, killed, sides, touches
from bench.bare import Lead
from bench.bare_side import bare_workflow
from bench.carrier import FORM, TOKEN, Text, carrier
from bench.figures import Row, percentiles, rows_of
from bench.lean_http import Caller, serve
from bench.load import lead, phone, until
from bench.processes import cpu, memory, spent
from content.library import load_sequences
from content.templates import load_templates
from domain.sequence import parse_length


def test_percentiles_by_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(1, 101)], 50, 95, 99, 100) == [50, 95, 99, 100]
    assert percentiles([3.0], 50, 99) == [3, 3]
    assert percentiles([], 50) == [math.inf]


def test_a_failure_counts_as_never() -> None:
    rows = rows_of("x", [0.1] * 97 + [math.inf] * 3, {50: 300, 95: 1000, 99: 2000})
    assert [row.shown for row in rows] == ["100 ms", "100 ms", "never"]
    assert [row.reached for row in rows] == ["yes", "yes", "no"]


def test_what_is_to_be_reached_is_a_most_or_a_least() -> None:
    most, least = Row("cost", 2.1, "x", 2.0), Row("rate", 0.7, "x", 0.6, least=True)
    assert (most.aim, most.reached) == ("at most 2.00 x", "no")
    assert (least.aim, least.reached) == ("at least 0.60 x", "yes")
    assert Row("only told", 1.0).reached == ""


def test_what_another_processor_found_last_is_kept_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FOLDER", tmp_path)

    def on(processor: str, found: float) -> None:
        monkeypatch.setattr(figures, "_processor", lambda: processor)
        figures.keep(figures.Figure("cost", "What it costs", (Row("cost", found, "x"),), ()))

    for processor, found in (("A(R) One(R)", 1.0), ("A(R) One(R)", 2.0), ("B Two", 3.0), ("A(R) One(R)", 4.0)):
        on(processor, found)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name: "| cost | 4.00 x" in text for name, text in kept.items()} == {"cost.md": True, "cost.b-two.md": False}
    assert "| cost | 3.00 x" in kept["cost.b-two.md"]


def test_no_two_leads_share_an_address() -> None:
    leads = [lead(n) for n in range(3000)]
    assert len({one["phone"] for one in leads}) == len({one["email"] for one in leads}) == 3000
    assert phone(101) == "+13125550101"


def test_three_of_ten_reply_each_after_one_of_its_texts() -> None:
    found = [touches.replies(phone(n)) for n in range(3000)]
    assert 0.27 < sum(nth is not None for nth in found) / 3000 < 0.33
    assert {nth for nth in found if nth is not None} == set(range(1, touches.TOUCHES + 1))


def test_the_benchmarks_sequences_are_what_they_say() -> None:
    templates = load_templates(sides.HERE / "templates")
    found = {one.sequence.key: one.sequence for one in load_sequences(sides.HERE / "sequences", templates)}
    assert len(found["bench_seven"].steps) == touches.TOUCHES == Lead(phone(0)).touches
    gap = {one["after"] for one in _raw("bench_seven", templates)[1:]}
    assert [parse_length(text, "").total_seconds() for text in gap] == [Lead(phone(0)).gap]
    assert parse_length(_raw("bench_soon", templates)[0]["after"], "").total_seconds() == killed.AHEAD


def _raw(key: str, templates: dict) -> list[dict]:  # type: ignore[type-arg]
    pinned = load_sequences(sides.HERE / "sequences", templates)
    return next(one.content["sequence"]["steps"] for one in pinned if one.sequence.key == key)


def test_what_was_in_flight_at_a_kill_is_told_apart_from_other_leads() -> None:
    on_time, late, flying, never = (101.0, 101.0, 101.1), (102.0, 104.0, 105.0), (99.0, 99.9, 112.0), (103.0,)
    after, again, in_flight = killed._after([100.0], [on_time, late, flying, (*never, math.inf, math.inf)])
    assert [round(value, 1) for value in after] == [0.1, 3.0, math.inf]
    assert (again, in_flight) == ({100.0: math.inf}, 1)
    assert killed._after([100.0], [on_time, late])[1] == {100.0: 5.0}
    assert killed._after([100.0], [on_time])[1] == {100.0: 0.0}


def test_all_of_the_burst_wait_for_one_opening() -> None:
    assert (burst._eight_o_clock().hour, burst._eight_o_clock().utcoffset() is not None) == (8, True)


def test_processor_time_and_memory_are_those_of_a_process_and_its_children() -> None:
    pids = {"own": os.getpid()}
    before = cpu(pids)
    sum(n * n for n in range(300_000))
    assert 0 < spent(before, cpu(pids))["own"] < 60
    assert memory(pids)["own"] > 10
    assert cpu({"gone": 2**22 + 1}) == {"gone": 0.0}


async def test_the_carrier_plays_both_callbacks_signed_and_the_reply() -> None:
    got: list[tuple[str, dict[str, str]]] = []
    all_there = asyncio.Event()

    async def product(_: str, path: str, body: bytes) -> bytes:
        got.append((path, dict(parse_qsl(body.decode()))))
        if len(got) == 3:
            all_there.set()
        return b""

    server, url = await serve(product)
    heard: list[Text] = []
    async with carrier(lambda _: 1) as texts:
        texts.heard = heard.append
        caller = Caller(texts.url)
        form = {"To": phone(7), "Body": "Hello", "StatusCallback": f"{url}/webhooks/twilio/status?touch=t7#rc=5"}
        status, answer = await caller.post(
            "/2010-04-01/Messages.json", urlencode(form).encode(), {"Content-Type": FORM}
        )
        await asyncio.wait_for(all_there.wait(), 20)
        caller.close()
    server.close()
    assert (status, answer[:9]) == (201, b'{"sid": "')
    assert [(one.to, one.touch_id, one.nth) for one in heard] == [(phone(7), "t7", 1)]
    assert [form.get("MessageStatus") for _, form in got] == ["sent", "delivered", None]
    assert [path for path, _ in got] == ["/webhooks/twilio/status?touch=t7"] * 2 + ["/webhooks/twilio/sms"]
    signed = RequestValidator(TOKEN)
    assert signed.compute_signature(url + got[0][0], got[0][1]) != signed.compute_signature(url + got[1][0], got[1][1])


async def test_the_bare_workflow_gets_its_touches_callbacks_and_ledger_and_a_reply_ends_it() -> None:
    silent, replies = phone(1), phone(2)
    ended = asyncio.Event()

    async with (
        carrier(lambda number: 1 if number == replies else None) as texts,
        bare_workflow(texts, lambda number: Lead(number, 3, gap=3600.0 if number == replies else 0.5)) as side,
    ):

        def heard(text: Text) -> None:
            if text.to == silent and text.nth == 3:
                ended.set()

        texts.heard = heard
        assert [await side.take_in(n) for n in (1, 2)] == [silent, replies]
        await asyncio.wait_for(ended.wait(), 60)

        async def settled() -> bool:
            rows = await side.rows("SELECT id, status, accepted_at IS NOT NULL, provider_id IS NOT NULL FROM touches")
            own = [row[1:] for row in rows if row[0].startswith(silent[1:])]
            return own == [("delivered", True, True)] * 3

        async def over() -> bool:  # nobody is there to be told of a second one
            return await texts.reply(next(iter(texts._callers)), replies, "Again") == 204

        assert await until(settled, 30)
        assert await until(over, 30)
        assert texts.failed == texts.after_reply == 0
        assert set(side.cpu()) == {"postgres", "temporal", "web", "worker-1"}
