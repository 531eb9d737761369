"""Which code of a provider means what: the table of the fact sheet, once more, by hand."""

import pytest

from channels.base_url import sandbox_base
from channels.errors import TWILIO, clean_code, sendgrid_error, twilio_error, twilio_remedy
from domain.ports import OutcomeUnknown, Rejected, Remedy, Unavailable

AGAIN = None
CODES = {
    "20429": AGAIN,
    "429": AGAIN,
    "21611": AGAIN,
    "30001": AGAIN,
    "21610": Remedy.SUPPRESS_NUMBER,
    "30640": Remedy.SUPPRESS_NUMBER,
    "21211": Remedy.SUPPRESS_NUMBER,
    "21614": Remedy.SUPPRESS,
    "21635": Remedy.SUPPRESS,
    "30006": Remedy.SUPPRESS,
    "30610": Remedy.RESCHEDULE,
    "20003": Remedy.ALERT,
    "401": Remedy.ALERT,
    "403": Remedy.ALERT,
    "21408": Remedy.ALERT,
    "21608": Remedy.ALERT,
    **dict.fromkeys(
        ("21201", "21210", "21212", "21601", "21603", "21606", "21659", "21660", "21661", "21701", "21703"),
        Remedy.ALERT,
    ),
    "30007": Remedy.ALERT,
    "30034": Remedy.ALERT,
    "30450": Remedy.ALERT,
    "30003": Remedy.RETRY,
    "30005": Remedy.RETRY,
    "30008": Remedy.RETRY,
}


def test_every_code_of_the_table_is_listed_here() -> None:
    assert set(TWILIO) == set(CODES)


@pytest.mark.parametrize(("code", "remedy"), CODES.items())
def test_a_code_in_an_answer(code: str, remedy: Remedy | None) -> None:
    error = twilio_error(400, code, retry_after=3)
    assert error.code == code
    if remedy is None:
        assert isinstance(error, Unavailable)
        assert error.retry_after == 3
    else:
        assert isinstance(error, Rejected)
        assert error.remedy is remedy


@pytest.mark.parametrize(("code", "remedy"), CODES.items())
def test_a_code_in_a_callback(code: str, remedy: Remedy | None) -> None:
    assert twilio_remedy(code) is (remedy or Remedy.RETRY)


def test_a_callback_without_a_known_code_concerns_this_message_only() -> None:
    assert twilio_remedy(None) is twilio_remedy("12345") is Remedy.DROP


@pytest.mark.parametrize("status", [301, 307, 408, 500, 502, 503, 504])
def test_what_may_have_been_taken_is_unknown_whatever_the_code_says(status: int) -> None:
    assert isinstance(twilio_error(status, "20429"), OutcomeUnknown)
    assert isinstance(sendgrid_error(status), OutcomeUnknown)


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_other_refusals_concern_this_message_only(status: int) -> None:
    for error in (twilio_error(status, "99999"), twilio_error(status), sendgrid_error(status)):
        assert isinstance(error, Rejected)
        assert error.remedy is Remedy.DROP


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_call_an_operator(status: int) -> None:
    for error in (twilio_error(status, "99999"), sendgrid_error(status)):
        assert isinstance(error, Rejected)
        assert error.remedy is Remedy.ALERT


@pytest.mark.parametrize(("asked", "given"), [(None, 1.0), (-5, 1.0), (7, 7), (86_400, 300)])
def test_the_pause_is_bounded(asked: float | None, given: float) -> None:
    for error in (twilio_error(429, None, asked), sendgrid_error(429, asked)):
        assert isinstance(error, Unavailable)
        assert error.retry_after == given


def test_a_code_is_a_number_or_nothing() -> None:
    assert clean_code(21610) == clean_code(" 21610 ") == "21610"
    assert clean_code("call +12125550100") is clean_code("") is clean_code(None) is None


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8100/", "http://localhost:8100", "http://10.1.2.3", "http://[::1]:9"]
)
def test_the_sandbox_may_be_near(url: str) -> None:
    assert sandbox_base(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    ["https://8.8.8.8", "http://[::ffff:8.8.8.8]:80", "ftp://127.0.0.1", "127.0.0.1:80", "http://a:b@127.0.0.1", ""],
)
def test_the_sandbox_may_not_be_elsewhere(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        sandbox_base(url)
