"""Facts of every version that was ever written can be read; what a later release wrote is refused, not misread."""

import json
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from domain import stored_fact
from domain.errors import NewerFact
from domain.fact_versions import FIRST, VERSIONS, FactVersions, Step, as_it_is
from domain.facts import AppointmentChanged, BookingEvent, Noted, StepSkipped
from domain.stored_fact import KINDS, StoredFact
from tests.domain.record_facts import AT, TYPES, recorded, schema

RECORDED = recorded()
EXAMPLES = [
    pytest.param(kind, int(version), text, id=f"{kind}-{version}-{number}")
    for kind, versions in RECORDED.items()
    for version, entry in versions.items()
    for number, text in enumerate(entry["examples"])
]
WHAT_TO_DO = (
    "What databases hold must stay readable, and an earlier release must not misread what this one writes. Add a Step "
    "for this kind to VERSIONS in domain/fact_versions.py (`as_it_is` if what was written before still fits), then run "
    "`python -m tests.domain.record_facts`, and name the kind and its version in CHANGELOG.md."
)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_fields_of_a_kind_change_with_its_version_only(kind: str) -> None:
    versions, present = RECORDED.get(kind, {}), str(VERSIONS.present(kind))
    assert present in versions, (
        f"{kind} version {present} was never recorded. Say in VERSIONS which release brings it, then run "
        "`python -m tests.domain.record_facts`."
    )
    assert schema(kind) == versions[present]["schema"], f"the fields or words of {kind} have changed. {WHAT_TO_DO}"
    assert set(versions) == {str(v) for v in range(FIRST, int(present) + 1)}, f"a version of {kind} is not recorded"


class NotedInALanguage(Noted):
    language: str | None = None


def test_a_field_more_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TYPES, "note", NotedInALanguage)
    assert schema("note") != RECORDED["note"]["1"]["schema"]


def test_no_kind_that_was_ever_written_is_gone() -> None:
    assert set(RECORDED) <= KINDS, "databases hold facts of this kind: it must stay readable"


@pytest.mark.parametrize(("kind", "version", "text"), EXAMPLES)
def test_what_was_ever_written_can_be_read(kind: str, version: int, text: str) -> None:
    read = StoredFact(kind, version, None, text).read()
    assert read.kind == kind
    if version == VERSIONS.present(kind):
        assert StoredFact.of(read).data == text, "and is written as it was"


def test_every_kind_has_a_full_and_a_bare_example_of_version_1() -> None:
    assert {kind: len(versions["1"]["examples"]) for kind, versions in RECORDED.items()} == dict.fromkeys(RECORDED, 2)


def test_every_step_and_every_new_kind_names_its_release() -> None:
    assert set(VERSIONS.steps) | set(VERSIONS.new) <= KINDS
    releases = [step.release for steps in VERSIONS.steps.values() for step in steps] + list(VERSIONS.new.values())
    assert all(release.count(".") == 2 for release in releases)


# A made-up history of the kinds `note` and `skipped`: what a note says was called `words`, then `body`.


def _to_body(data: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "note", "body": data["words"]}


def _to_text(data: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "note", "text": data["body"]}


MADE_UP = FactVersions(
    {"note": (Step("0.2.0", _to_body), Step("0.3.0", _to_text)), "skipped": (Step("0.3.0", as_it_is),)}
)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_fact, "VERSIONS", MADE_UP)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(("version", "name"), [(1, "words"), (2, "body"), (3, "text")])
def test_an_old_version_is_upgraded_step_by_step(version: int, name: str) -> None:
    text = json.dumps({"kind": "note", name: "hello"})
    assert StoredFact("note", version, None, text).read() == Noted(text="hello")


@pytest.mark.usefixtures("made_up")
def test_what_is_written_carries_the_present_version_and_the_release_that_reads_it() -> None:
    note = StoredFact.of(Noted(text="hello"))
    assert (note.kind, note.version, note.release) == ("note", 3, "0.3.0")
    assert note.read() == Noted(text="hello")
    skipped = StoredFact("skipped", 1, None, '{"kind":"skipped","enrollment":1,"step":"call1"}')
    assert skipped.read() == StepSkipped(enrollment=1, step="call1")


def test_what_every_release_reads_names_none() -> None:
    assert FactVersions().release("note") is None
    assert FactVersions(new={"note": "0.2.0"}).release("note") == "0.2.0"
    assert FactVersions().present("note") == FIRST


@pytest.mark.parametrize(("kind", "version"), [("note", 2), ("telepathy", 1)], ids=["version", "kind"])
def test_what_a_later_release_wrote_is_refused_and_the_release_is_named(kind: str, version: int) -> None:
    with pytest.raises(NewerFact, match=f"kind {kind}, version {version}, .* run release 0.7.0 or a later one"):
        StoredFact(kind, version, "0.7.0", '{"kind":"note","text":"secret"}').read()
    with pytest.raises(NewerFact, match="run the release that wrote it, or a later one"):
        StoredFact(kind, version, None, "{}").read()


def test_an_appointments_event_is_refused_by_a_release_that_would_have_it_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Up to 0.1.0 the first event held the place of its lead where it named none."""
    stored = StoredFact.of(
        AppointmentChanged(event=BookingEvent.BOOKED, appointment_id="A", occurred_at=datetime.fromisoformat(AT))
    )
    monkeypatch.setattr(stored_fact, "VERSIONS", FactVersions())
    with pytest.raises(NewerFact, match=r"kind appointment, version 2, .* run release 0\.2\.0 or a later one"):
        stored.read()


@pytest.mark.usefixtures("made_up")
def test_an_upgrade_that_leaves_a_wrong_fact_is_refused_without_its_words() -> None:
    with pytest.raises(ValidationError) as error:
        StoredFact("skipped", 1, None, '{"kind":"skipped","step":"secret"}').read()
    assert "secret" not in str(error.value)
    assert "secret" not in repr(StoredFact.of(Noted(text="secret")))
