"""The sandbox carrier as a child, and the credentials it and the product share in a data directory."""

import json
import secrets
import sys

from config.data_dir import DataDir, write_private
from config.settings import Settings
from sandbox.cast import PERSONAS
from sandbox.keys import ensure_sendgrid_keys
from stack.preflight import StartError

KNOWN_PERSONAS = frozenset(PERSONAS)
FROM = "+15005550006"
STAFF_PHONE = "+12025550143"  # the line of the coordinator persona
ADMIN_PHONE = "+12025550144"  # of who dials with the admin's key


def ensure_credentials(directory: DataDir) -> None:
    """Makes an account and keys for the directory where it has none yet."""
    directory.sandbox.mkdir(exist_ok=True, mode=0o700)
    public_key = ensure_sendgrid_keys(directory.sandbox)
    if directory.credentials.exists():
        kept = json.loads(directory.credentials.read_text())
        if kept.get("sendgrid_webhook_key") == public_key:
            return
    else:
        kept = {
            "account_sid": "AC" + secrets.token_hex(16),
            "auth_token": secrets.token_hex(16),
            "sendgrid_api_key": f"SG.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}",
            "from": FROM,
        }
    kept["sendgrid_webhook_key"] = public_key
    write_private(directory.credentials, json.dumps(kept, indent=1))


def argv(
    directory: DataDir, settings: Settings, *, host: str, port: int, api: str, personas: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The carrier's command line; nothing secret is in it, the credentials go by files written here.

    `settings` are those the product runs with, `api` is where the personas call. Raises StartError.
    """
    account, token, key = settings.twilio_account_sid, settings.twilio_auth_token, settings.sendgrid_api_key
    if account is None or token is None or key is None:
        raise StartError("the sandbox carrier has no credentials: start it with `tend up` once")
    token_file, key_file = directory.sandbox.absolute() / "auth_token", directory.sandbox.absolute() / "sendgrid_key"
    write_private(token_file, token.get_secret_value())
    write_private(key_file, key.get_secret_value())
    hooks = settings.public_url.rstrip("/") + "/webhooks"
    # fmt: off
    line = [
        sys.executable, "-P", "-m", "sandbox", "--host", host, "--port", str(port),
        "--dir", str(directory.sandbox.absolute()), "--account-sid", account,
        "--auth-token-file", str(token_file), "--sendgrid-api-key-file", str(key_file),
        "--inbound-sms-url", f"{hooks}/twilio/sms", "--inbound-voice-url", f"{hooks}/twilio/voice/inbound",
        "--email-events-url", f"{hooks}/sendgrid/events", "--personas", ",".join(personas) or "none",
    ]
    # fmt: on
    if directory.clock.exists():
        line += ["--clock", str(directory.clock.absolute())]
    if settings.opt_out_confirmation == "carrier":
        line.append("--carrier-opt-out")
    if personas:
        line += ["--api", api, "--staff-key-file", str(directory.staff_key.absolute())]
    return tuple(line)
