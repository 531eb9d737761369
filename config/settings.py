"""Settings: read once from `TEND_` variables and `.env`, frozen, handed down by the composition roots."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypedDict
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address like https://tend.example.com")
    return text


def _mail_address(text: str) -> str:
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        raise ValueError("must be an e-mail address like care@example.com") from None


PerSecond = Annotated[float | None, Field(gt=0, le=10_000, allow_inf_nan=False, description="Touches a second.")]
PerDay = Annotated[
    int | None, Field(ge=1, description="Touches a day, from midnight to midnight in Los Angeles, as T-Mobile counts.")
]
WebAddress = Annotated[str, AfterValidator(_web_address)]


class TemporalAccess(TypedDict):
    """Secret, and files, where set."""

    api_key: str | None
    tls_cert: Path | None
    tls_key: Path | None


class Settings(BaseSettings):
    """Every setting, with its unit. `tend up` fills in what it starts itself (addresses, sandbox credentials)."""

    model_config = SettingsConfigDict(
        env_prefix="TEND_", env_file=".env", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    environment: Environment = Environment.DEVELOPMENT
    data_dir: Annotated[Path, Field(description="Where the embedded servers, keys and the clock are kept.")] = Path(
        ".tend"
    )
    database_url: Annotated[
        str | None, Field(description="PostgreSQL, as postgresql://user:pass@host:port/db; embedded if unset.")
    ] = None
    public_url: Annotated[
        WebAddress, Field(description="Where providers and people reach the API; part of webhook signatures.")
    ] = "http://127.0.0.1:8000"
    keys: Annotated[
        SecretStr | None,
        Field(description="Encryption key ring, newest first: id:base64key[,id:base64key]; 32 bytes each."),
    ] = None

    temporal_address: Annotated[
        str | None, Field(pattern=r"^[^/\s]+:[0-9]{1,5}$", description="host:port; the dev server is started if unset.")
    ] = None
    temporal_namespace: str = "default"
    temporal_api_key: SecretStr | None = None
    temporal_tls_cert: Path | None = None
    temporal_tls_key: Path | None = None
    temporal_ui_url: Annotated[
        str | None, Field(description="Origin of the Temporal Web UI that may use the codec without a key.")
    ] = None

    deployment_name: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="Workers poll as a version of this Temporal deployment."),
    ] = None
    build_id: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9._+-]{1,100}$", description="Which version: of one build of Tend, never reused."),
    ] = None

    carrier: Literal["sandbox", "live"] = "sandbox"
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_messaging_service_sid: str | None = None
    twilio_from: Annotated[str | None, Field(pattern=r"^\+[1-9][0-9]{6,14}$", description="E.164.")] = None
    twilio_base_url: Annotated[WebAddress | None, Field(description="Obeyed with the sandbox carrier only.")] = None
    sendgrid_api_key: SecretStr | None = None
    sendgrid_base_url: Annotated[WebAddress | None, Field(description="Obeyed with the sandbox carrier only.")] = None
    sendgrid_webhook_key: Annotated[str | None, Field(description="Public key (base64 DER) of the events webhook.")] = (
        None
    )
    email_from: Annotated[str, AfterValidator(_mail_address)] = "care@example.com"
    postal_address: str = "100 Main Street, Springfield, IL 62701"
    organization: Annotated[str, Field(description="How messages name the practice.")] = "Springfield Care"
    opt_out_confirmation: Annotated[
        Literal["tend", "carrier"], Field(description="Who answers STOP with its one confirmation.")
    ] = "tend"

    # What a sender may hand over, over all workers together. Unset: no limit.
    sms_per_second: PerSecond = None
    voice_per_second: PerSecond = None
    email_per_second: PerSecond = None
    sms_per_day: PerDay = None
    voice_per_day: PerDay = None
    email_per_day: PerDay = None
    concurrent_calls: Annotated[int | None, Field(ge=1, description="Calls at one time; unset: no limit.")] = None
    imports_per_second: Annotated[
        float,
        Field(gt=0, le=1000, allow_inf_nan=False, description="Imported leads a second that each worker starts."),
    ] = 20.0

    call_lease: Annotated[
        float,
        Field(ge=1, le=604_800, allow_inf_nan=False, description="Product seconds a claimed task is held."),
    ] = 900.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # Tests and drills only: continue-as-new after so many events instead of when the server suggests it.
    continue_as_new_after: Annotated[int | None, Field(ge=20, description="History events; unset: as suggested.")] = (
        None
    )

    @property
    def temporal_access(self) -> TemporalAccess:
        """What connecting to Temporal takes beside its address."""
        return TemporalAccess(
            api_key=self.temporal_api_key.get_secret_value() if self.temporal_api_key else None,
            tls_cert=self.temporal_tls_cert,
            tls_key=self.temporal_tls_key,
        )
