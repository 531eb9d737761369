"""`python -m sandbox`: the carrier as a process of its own."""

import argparse
import logging
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.app import create_app
from sandbox.cast import PERSONAS
from sandbox.config import BadConfig, SandboxConfig
from sandbox.server import make_server


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="An imitation of Twilio and SendGrid, and of people who answer."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--dir", type=Path, required=True, help="where it keeps its database and keys")
    parser.add_argument("--account-sid", required=True, help="the Twilio account, AC...")
    parser.add_argument("--auth-token-file", type=Path, required=True, help="file with the Twilio auth token")
    parser.add_argument("--sendgrid-api-key-file", type=Path, required=True, help="file with the SendGrid API key")
    for name, what in (
        ("inbound-sms-url", "texts that leads send"),
        ("inbound-voice-url", "calls that leads make"),
        ("email-events-url", "events of mails"),
    ):
        parser.add_argument(f"--{name}", type=_url, required=True, help=f"where {what} are posted")
    parser.add_argument(
        "--personas", default="none", metavar="NAME,...|none", help=f"who answers, in turn: {', '.join(PERSONAS)}"
    )
    parser.add_argument("--clock", type=Path, help="the one clock's file; without it product time is real time")
    parser.add_argument("--api", type=_url, help="base address of the API, for personas who use it")
    parser.add_argument("--staff-key-file", type=Path, help="file with a staff key for the API (may appear later)")
    parser.add_argument(
        "--carrier-opt-out", action="store_true", help="answer STOP with the carrier's own confirmation, then refuse"
    )
    return parser


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError("must be an address like http://127.0.0.1:8000/path")
    return text


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise BadConfig(f"cannot read {path}: {error.strerror}") from None


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM. 0 after a clean stop, 1 with one line on stderr if it cannot start."""
    given = _arguments().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    names = () if given.personas.strip() in {"", "none"} else tuple(n.strip() for n in given.personas.split(","))
    try:
        config = SandboxConfig(
            directory=given.dir,
            account_sid=given.account_sid,
            auth_token=_secret(given.auth_token_file),
            sendgrid_api_key=_secret(given.sendgrid_api_key_file),
            inbound_sms_url=given.inbound_sms_url,
            inbound_voice_url=given.inbound_voice_url,
            email_events_url=given.email_events_url,
            personas=names,
            clock_file=given.clock,
            api=given.api,
            staff_key_file=given.staff_key_file,
            carrier_opt_out=given.carrier_opt_out,
        )
        given.dir.mkdir(parents=True, exist_ok=True)
    except BadConfig as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"sandbox: cannot use {given.dir}: {error.strerror}; give another --dir", file=sys.stderr)
        return 1
    server = make_server(create_app(config), given.host, given.port)
    # the server stops in order on these signals and then raises them anew: a clean stop shall end with 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
