"""Templates: every shipped one with plain and with nasty values, and what a bad one is told."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from content.library import report, system_templates
from content.segments import segments
from content.templates import (
    SAMPLE,
    VARIABLES,
    Template,
    check,
    compose_email,
    from_json,
    load_templates,
    render_email,
    render_script,
    render_sms,
    to_json,
)
from domain.errors import InvalidSequence

SHIPPED = Path(__file__).parents[2] / "config" / "templates"
TEMPLATES = load_templates(SHIPPED)
SMS = sorted(n for n, t in TEMPLATES.items() if t.channel == "sms")
EMAIL = sorted(n for n, t in TEMPLATES.items() if t.channel == "email")
SCRIPTS = sorted(n for n, t in TEMPLATES.items() if t.channel == "script")
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% for x in range(9) %}x{% endfor %}",
    "{{ cycler.__init__.__globals__ }}",
    "Ada\r\nBcc: other@example.com\r\n\r\nHello",
    "Ada\x00\x07\x1b[31m\u2028\u2029\u202e\u200b\ud800",
    "www.example.com http://example.com/win example.com //example.com",
    "call 12125550199 now",
    "A" * 5000,
    "😀",
    "",
    "   ",
]
# what would tell a bystander or an unprotected vendor what somebody seeks care for
TELLING = re.compile(
    r"consult|procedure|surg|treatment|therap|diagnos|symptom|condition|addict|recovery|detox|rehab|cosmetic|spa\b|"
    r"botox|laser|derma|dental|fertil|oncolog|cardio|psych|mental|medication|urgent care|telehealth|specialt",
    re.IGNORECASE,
)


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]


def with_name(name: str) -> dict[str, str]:
    return {**SAMPLE, "first_name": name}


def sms(body: str) -> Template:
    return Template("t", "sms", "care", None, body)


def test_what_ships() -> None:
    assert {"confirm_callback", "scheduling_link", "opt_out_confirmation"} <= set(SMS)
    assert {"provider_bio", "education", "offer_limited"} <= set(EMAIL)
    assert SCRIPTS == ["final_call", "first_call", "outcome_missing", "recovery_call", "second_call"]
    assert all(t.purpose == "care" for t in TEMPLATES.values() if t.channel != "script")


# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMS)
def test_a_text_is_plain_and_at_most_two_segments(name: str) -> None:
    text = render_sms(TEMPLATES[name], SAMPLE)
    cost = segments(text)
    assert cost.encoding == "GSM-7" and cost.count <= 2
    assert SAMPLE["organization"] in text
    assert "\n" not in text and "  " not in text and "{" not in text
    assert not TELLING.search(text.replace(SAMPLE["organization"], ""))


@pytest.mark.parametrize("name", [n for n in SMS if n != "opt_out_confirmation"])
def test_every_text_says_how_to_stop(name: str) -> None:
    assert "Reply STOP to opt out" in render_sms(TEMPLATES[name], SAMPLE)


@pytest.mark.parametrize("name", SMS)
def test_a_link_in_a_text_ends_with_a_space(name: str) -> None:
    text = render_sms(TEMPLATES[name], SAMPLE) + " "
    assert SAMPLE["booking_link"] not in text or SAMPLE["booking_link"] + " " in text


def test_the_first_text_says_who_writes_and_when_we_call() -> None:
    text = render_sms(TEMPLATES["confirm_callback"], SAMPLE)
    assert segments(text).count == 1
    assert text.startswith("Hi Ada, this is Springfield Care.")
    assert SAMPLE["callback_at"] in text


def test_the_confirmation_of_a_stop_is_one_segment_and_nothing_else() -> None:
    template = system_templates(TEMPLATES)["opt_out_confirmation"]
    text = render_sms(template, SAMPLE)
    assert segments(text).count == 1
    assert text.startswith("Springfield Care: You are opted out.")
    assert "http" not in text


def test_the_report_names_every_text() -> None:
    costs = {c.template: (c.encoding, c.segments) for c in report(TEMPLATES)}
    assert sorted(costs) == SMS
    assert costs["confirm_callback"] == ("GSM-7", 1)
    assert costs["scheduling_link"] == ("GSM-7", 2)


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("name", SMS)
def test_a_text_takes_any_name(name: str, nasty: str) -> None:
    text = render_sms(TEMPLATES[name], with_name(nasty))
    clean = render_sms(TEMPLATES[name], SAMPLE)
    assert len(text) <= len(clean) + 40
    assert not re.search(r"[\x00-\x1f\x7f<>{}\u2028\u2029\u202e\u200b\ud800]", text)
    assert not re.search(r"example\.com(?!/b/)", text.replace(SAMPLE["booking_link"], ""))
    assert "2125550199" not in text and "49" not in text.replace(SAMPLE["booking_link"], "")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Ada", "Ada"),
        ("  Ada \t Maria ", "Ada Maria"),
        ("O'Example-Name Jr.", "O'Example-Name Jr."),
        ("Zoë", "Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("李", "李"),
        ("J.R.", "J. R."),
        ("Ada 😀", "Ada"),
        ("😀", "there"),
        ("12345", "there"),
        ("...", "there"),
        ("", "there"),
        ("evil.example.com/x", "evil. example. com x"),
    ],
)
def test_how_a_name_is_said(typed: str, said: str) -> None:
    assert render_sms(sms("Hi {{ first_name }},"), with_name(typed)) == f"Hi {said},"


# --- e-mails ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EMAIL)
def test_an_email_is_discreet_and_says_who_where_and_how_to_opt_out(name: str) -> None:
    mail = render_email(TEMPLATES[name], SAMPLE)
    assert mail.subject and "\n" not in mail.subject and len(mail.subject) <= 78
    for part in (mail.text, mail.html):
        assert SAMPLE["organization"] in part
        assert SAMPLE["postal_address"] in part
        assert SAMPLE["unsubscribe_link"] in part
        assert "{" not in part
    assert not TELLING.search(mail.subject + mail.text)
    assert not any(SAMPLE[v] in mail.subject for v in ("facility_name", "facility_address", "appointment_day"))


@pytest.mark.parametrize("name", EMAIL)
def test_links_of_an_email_can_be_clicked_and_lead_home(name: str) -> None:
    mail = render_email(TEMPLATES[name], SAMPLE)
    expected = [SAMPLE[v] for v in ("booking_link", "unsubscribe_link") if SAMPLE[v] in mail.text]
    assert _Tags(mail.html).links == expected


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("name", EMAIL)
def test_an_email_takes_any_name(name: str, nasty: str) -> None:
    mail, clean = render_email(TEMPLATES[name], with_name(nasty)), render_email(TEMPLATES[name], SAMPLE)
    assert "\n" not in mail.subject and "\r" not in mail.subject
    assert _Tags(mail.html).tags == _Tags(clean.html).tags
    assert _Tags(mail.html).links == _Tags(clean.html).links
    assert mail.text.count("\n") == clean.text.count("\n")
    mail.html.encode()


@pytest.mark.parametrize("variable", sorted(VARIABLES))
@pytest.mark.parametrize("nasty", NASTY[:6])
@pytest.mark.parametrize("name", EMAIL)
def test_no_value_at_all_becomes_markup(name: str, variable: str, nasty: str) -> None:
    mail = render_email(TEMPLATES[name], {**SAMPLE, variable: nasty})
    tags = _Tags(mail.html)
    assert not {"script", "img"} & set(tags.tags)
    assert tags.attributes <= {"lang", "charset", "name", "content", "style", "href", "rel"}
    assert "\n" not in mail.subject and "49" not in mail.text
    mail.html.encode()


def test_paragraphs() -> None:
    template = Template("t", "email", "care", "A\n subject", "One\nline.\n\n \nTwo <b> & more.\n")
    mail = render_email(template, SAMPLE)
    assert mail.subject == "A subject"
    assert mail.text.startswith("One line.\n\nTwo <b> & more.\n\n-- \n")
    assert ">One line.</p>" in mail.html and ">Two &lt;b&gt; &amp; more.</p>" in mail.html


def test_a_persons_own_words_keep_their_lines_in_the_same_frame() -> None:
    mail = compose_email("A message", "One\r\ntwo\n\n<i>three</i> https://example.com/a", SAMPLE)
    assert mail.text.startswith("One\ntwo\n\n<i>three</i>")
    assert "One<br>two" in mail.html and "&lt;i&gt;three&lt;/i&gt;" in mail.html
    assert _Tags(mail.html).links == ["https://example.com/a", SAMPLE["unsubscribe_link"]]


def test_nothing_of_a_person_in_the_repr() -> None:
    assert "Ada" not in repr(render_email(TEMPLATES["education"], SAMPLE))


# --- scripts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nasty", ["Ada", *NASTY])
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_takes_any_name(name: str, nasty: str) -> None:
    text = render_script(TEMPLATES[name], with_name(nasty))
    assert "{" not in text and "49" not in text
    if not nasty.strip():
        assert "the lead" in text


@pytest.mark.parametrize("name", [n for n in SCRIPTS if n.endswith("_call")])
def test_a_call_script_guards_privacy_and_life(name: str) -> None:
    text = render_script(TEMPLATES[name], SAMPLE)
    assert "Until you know who is on the line" in text
    assert "988" in text and "Voicemail:" in text


# --- versions and errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_template_survives_its_pinned_form(name: str) -> None:
    assert from_json(name, to_json(TEMPLATES[name])) == TEMPLATES[name]


def test_a_value_that_is_missing_is_named_and_no_other_is_shown() -> None:
    values = {k: v for k, v in SAMPLE.items() if k != "callback_at"}
    with pytest.raises(InvalidSequence) as e:
        render_sms(TEMPLATES["confirm_callback"], values)
    assert str(e.value) == "template confirm_callback: 'callback_at' is undefined; every variable must be given"


ALL = ", ".join(sorted(VARIABLES))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channel: sms\npurpose: care\nbody: Hi {{ name }}", f"body: unknown name; there are {ALL}"),
        ("channel: sms\npurpose: care\nbody: |\n  Hi\n  {{ first_name", "body, line 2: "),
        ("channel: sms\npurpose: care\nbody: |\n  Hi\n  {% if first_name %}x", "body, line 2: "),
        ("channel: sms\npurpose: care\nbody: '{{ first_name | shout }}'", "body, line 1: No filter named 'shout'."),
        ("channel: sms\npurpose: care\nbody: '{{ first_name.last }}'", "body: cannot be rendered: "),
        ("channel: sms\npurpose: care\nbody: '{{ first_name.__class__ }}'", "body: cannot be rendered: "),
        ("channel: sms\npurpose: care\nbody: \"{% include 'other' %}\"", "body: cannot be rendered: "),
        ("channel: sms\npurpose: care\nbody: '{{ first_name + 1 }}'", "body: cannot be rendered: "),
        ("channel: sms\npurpose: care\nbody: '{# nothing #}'", "body: renders to nothing"),
        (f"channel: sms\npurpose: care\nbody: {'a' * 1601}", "body: 1601 characters; the carrier takes 1600"),
        (
            "channel: email\npurpose: care\nsubject: '{{ x }}'\nbody: Hi",
            f"subject: unknown x; there are {ALL}",
        ),
        ("channel: fax\nbody: Hi", "channel: 'fax' is none of sms, email, script"),
        ("- Hi", "a mapping with channel and body expected"),
        ("channel: sms\npurpose: sales\nbody: Hi", "purpose: 'sales' is neither care nor marketing"),
        ("channel: sms\nbody: Hi", "missing purpose; sms: body, channel, purpose are taken"),
        (
            "channel: sms\npurpose: care\nsubject: A\nbody: Hi",
            "unknown subject; sms: body, channel, purpose are taken",
        ),
        (
            "channel: email\npurpose: care\nbody: Hi",
            "missing subject; email: body, channel, purpose, subject are taken",
        ),
        ("channel: script\npurpose: care\nbody: Hi", "unknown purpose; script: body, channel are taken"),
        (
            "channel: sms\npurpose: care\nbody:",
            "body: text expected; write it after `body: |` on lines of its own",
        ),
        ("channel: script\nbody: 7", "body: text expected; write it after `body: |` on lines of its own"),
    ],
)
def test_a_bad_template_is_refused_with_place_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InvalidSequence) as e:
        load_templates(tmp_path)
    full = f"bad.yaml: {message}"
    assert str(e.value).startswith(full) if full.endswith(": ") else str(e.value) == full


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bad.yaml", "channel: sms\nchannel: sms\nbody: Hi", "bad.yaml, line 2: the key 'channel' is given twice"),
        ("bad.yaml", "channel: sms\n body: Hi", "bad.yaml, line 2: mapping values are not allowed here"),
        (
            "bad.yaml",
            "channel: !!python/name:os.system",
            "bad.yaml, line 1: could not determine a constructor for the tag",
        ),
        ("bad.yaml", b"body: \xff", "bad.yaml: not a text file in UTF-8 without control characters"),
        ("bad.yaml", b"body: \x07", "bad.yaml: not a text file in UTF-8 without control characters"),
        ("bad.yml", "channel: sms", "bad.yml: would be overlooked; name it bad.yaml"),
        ("Bad.yaml", "channel: script\nbody: Hi", "Bad.yaml: 'Bad' must be lower-case letters, digits and _"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidSequence) as e:
        load_templates(tmp_path)
    assert str(e.value).startswith(message)


def test_an_empty_or_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidSequence, match=r"holds no \.yaml file$"):
        load_templates(tmp_path)
    with pytest.raises(InvalidSequence, match=r"no such directory$"):
        load_templates(tmp_path / "none")


def test_check_passes_what_ships() -> None:
    for template in TEMPLATES.values():
        check(template)
