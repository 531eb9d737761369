"""The plan of a round follows from its seed alone."""

from collections import defaultdict
from itertools import pairwise

from tests.faults.plan import AT_ONCE, SHARES, STOPS, Shape, Verb, make_plan

SHAPE = Shape(leads=300, storm=60.0, blows=60)


def test_the_same_seed_gives_the_same_plan_and_another_another() -> None:
    assert make_plan(7, SHAPE) == make_plan(7, SHAPE)
    assert make_plan(7, SHAPE).blows != make_plan(8, SHAPE).blows


def test_everybody_has_a_number_of_their_own_in_every_round_but_relatives() -> None:
    first, second = make_plan(1, SHAPE), make_plan(2, SHAPE, len(make_plan(1, SHAPE).lives))
    lives = [*first.lives, *second.lives]
    assert len({life.email for life in lives}) == len(lives)
    alone, *_, before, relative = lives[:SHARES]
    assert before.phone == relative.phone != alone.phone
    assert len({life.phone for life in lives}) == len(lives) - len(lives) // SHARES


def test_nobody_asks_again_whose_lead_a_relative_may_have_stopped() -> None:
    homes = defaultdict[str, list[Verb]](list)
    for seed in range(20):
        for life in make_plan(seed, SHAPE, seed * SHAPE.leads % 3000).lives:
            homes[f"{seed} {life.phone}"] += [act.verb for act in life.acts]
    assert any("ask_again" in verbs for verbs in homes.values())
    assert not [verbs for verbs in homes.values() if "ask_again" in verbs and STOPS & set(verbs)]


def test_a_round_holds_every_act_and_every_part_is_killed_and_frozen() -> None:
    plans = [make_plan(seed, SHAPE) for seed in range(5)]
    verbs = {act.verb for plan in plans for life in plan.lives for act in life.acts}
    assert verbs == {verb for _, verbs in SHAPE.lives for verb in verbs}
    met = {(blow.victim, blow.how) for plan in plans for blow in plan.blows}
    parts = {"worker-1", "worker-2", "api", "temporal", "postgres", "backend"}
    assert met == {(part, how) for part in parts for how in ("kill", "freeze")}


def test_no_two_parts_of_a_kind_are_frozen_at_once() -> None:
    for seed in range(20):
        free: dict[str, float] = {}
        for blow in make_plan(seed, SHAPE).blows:
            if blow.how == "freeze":
                kind = "worker" if blow.victim.startswith("worker") else blow.victim
                assert blow.at >= free.get(kind, 0.0)
                assert blow.lasts > 15.0  # longer than a claim lives
                free[kind] = blow.at + blow.lasts


def test_a_stop_follows_a_message_at_once_and_an_outcome_its_claim() -> None:
    met = set()
    for life in make_plan(3, SHAPE).lives:
        acts = [("ask", life.asks_at), *((act.verb, act.at) for act in life.acts)]
        for (before, then), (verb, at) in pairwise(acts):
            assert at >= then
            if (before, verb) in AT_ONCE:
                assert at == then
                met.add((before, verb))
    assert met == AT_ONCE
