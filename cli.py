"""The `tend` command."""
# ruff: noqa: E402

import signal

# Until there is something to stop, Ctrl-C just ends it, without a traceback of whatever was being loaded.
_heeded = signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError

from config.data_dir import DataDir, check_start, sandbox_credentials_missing
from config.data_dir import clock as product_clock
from config.settings import Settings
from domain.errors import TendError
from stack.keys_cli import app as keys_app
from stack.preflight import StartError, check_ring, read_settings
from stack.release_cli import app as release_app
from stack.sequences_cli import app as sequences_app

signal.signal(signal.SIGINT, _heeded)

INTERRUPTED = 130  # the exit code of what Ctrl-C ended

app = typer.Typer(
    name="tend",
    help="Durable follow-up of healthcare leads.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(keys_app, name="keys", help="Make, list and revoke API keys.")
app.add_typer(release_app, name="release", help="Choose the build of the workers that leads run on.")
app.add_typer(sequences_app, name="sequences", help="Check sequences before they are used.")


def _directory(text: str) -> Path:
    """An empty word is a shell variable that is not set, and not this directory."""
    if not text.strip():
        raise typer.BadParameter("is empty: give a directory")
    return Path(text)


DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=_directory,
        help="Where servers, keys and the clock are kept. [default: .tend]",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HostOption = Annotated[str, typer.Option(help="Where the API listens; everything else stays on loopback.")]
PortOption = Annotated[int, typer.Option(help="The API's port; 0 takes any free one.")]
PersonasOption = Annotated[
    str, typer.Option(metavar="NAME,...|none", help="Imitated people of the sandbox carrier, who answer.")
]


@app.command()
def up(
    *,
    data_dir: DataDirOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    workers: Annotated[int, typer.Option(help="How many worker processes.")] = 1,
    clock: Annotated[
        str | None, typer.Option(metavar="now|ISO-TIME", help="When product time begins. [default: now]")
    ] = None,
    pace: Annotated[
        str | None,
        typer.Option(metavar="X", help="Product seconds a real second, also as 360:5h,20000. [default: 1]"),
    ] = None,
    personas: PersonasOption = "none",
) -> None:
    """Start everything on this machine and keep it healthy, until Ctrl-C."""
    from stack.up import Options  # noqa: PLC0415 - each verb loads what it needs
    from stack.up import up as run_stack  # noqa: PLC0415

    options = Options(data_dir, host, port, workers, clock, pace, personas)
    _end_hard(lambda: asyncio.run(run_stack(options)))


@app.command()
def demo(
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="DIR", help="Made fresh at each start; only a demo's own is removed.")
    ] = Path(".tend-demo"),
    port: Annotated[int, typer.Option(help="The API's port. [default: any free one]", show_default=False)] = 0,
    once: Annotated[bool, typer.Option("--once", help="Stop after the summary instead of staying up.")] = False,
    disaster: Annotated[
        bool, typer.Option("--disaster", help="Delete Temporal's database in its midst, and rebuild it.")
    ] = False,
) -> None:
    """The main job on view: made-up leads, their whole cadences, in about a minute."""
    from demo.run import Options, run  # noqa: PLC0415

    run(Options(data_dir, port, once, disaster))


@app.command()
def worker(data_dir: DataDirOption = None) -> None:
    """Run one worker: lead workflows, sending, the relay of the outbox."""
    settings = _ready_settings(data_dir)
    import uvloop  # noqa: PLC0415

    from config.collector import keep_what_is_loaded  # noqa: PLC0415
    from config.quiet_log import write_quietly  # noqa: PLC0415
    from worker import run  # noqa: PLC0415

    write_quietly()
    keep_what_is_loaded()
    _end_hard(lambda: uvloop.run(run(settings)))


@app.command()
def api(data_dir: DataDirOption = None, host: HostOption = "127.0.0.1", port: PortOption = 8000) -> None:
    """Serve the HTTP API with its webhooks."""
    settings = _ready_settings(data_dir)
    import uvicorn  # noqa: PLC0415

    from api.app import create_app  # noqa: PLC0415
    from config.collector import keep_what_is_loaded  # noqa: PLC0415
    from config.quiet_log import write_quietly  # noqa: PLC0415
    from stack.ports import check_free  # noqa: PLC0415

    check_free(host, port)
    write_quietly()
    # No access log: paths and query strings hold tokens and what somebody searched for.
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            access_log=False,
            log_config=None,
            server_header=False,
            log_level=settings.log_level,
            timeout_keep_alive=75,  # longer than clients and proxies keep one: none is closed as it is used
            timeout_graceful_shutdown=5,
        )
    )
    keep_what_is_loaded()
    _end_hard(server.run)


@app.command()
def sandbox(
    data_dir: DataDirOption = None,
    host: Annotated[str, typer.Option(help="Where the carrier listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The carrier's port.")] = 8010,
    personas: PersonasOption = "none",
) -> None:
    """Serve the sandbox carrier alone: Twilio and SendGrid, imitated."""
    from stack import carrier  # noqa: PLC0415
    from stack.ports import check_free, free_port  # noqa: PLC0415
    from stack.preflight import check_personas, make_directory  # noqa: PLC0415
    from stack.product import python_environment  # noqa: PLC0415

    names = check_personas(personas, carrier.KNOWN_PERSONAS)
    check_free(host, port)
    port = port or free_port(host)
    directory = DataDir(read_settings(data_dir).data_dir.absolute())
    make_directory(directory)
    carrier.ensure_credentials(directory)
    settings = read_settings(data_dir)
    line = carrier.argv(directory, settings, host=host, port=port, api=settings.public_url, personas=names)
    print(f"sandbox carrier at http://{host}:{port}, Ctrl-C stops it", flush=True)
    os.execve(line[0], line, python_environment())  # noqa: S606 - this very Python


@app.command()
def migrate(data_dir: DataDirOption = None) -> None:
    """Bring the database to the schema of this version, and publish the sequences that ship with it."""
    settings = read_settings(data_dir)
    if settings.database_url is None:
        raise StartError("no database: set TEND_DATABASE_URL, or use `tend up`, which migrates its embedded one")
    from stack.publishing import publish_shipped, shipped_warnings  # noqa: PLC0415
    from store.migrate import migrate as run  # noqa: PLC0415

    at = asyncio.run(run(settings.database_url))
    print(f"the database is at {at}")
    for key, version in asyncio.run(publish_shipped(settings.database_url, product_clock(settings).now())):
        print(f"sequence {key}: published version {version}")
    for warning in shipped_warnings():
        print(f"warning: {warning}")


@app.command()
def doctor(
    *,
    data_dir: DataDirOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended, and say what was.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is misconfigured or stuck, in plain words; the exit code is 0 where all is well."""
    settings = read_settings(data_dir)
    from stack.doctor_report import run  # noqa: PLC0415

    def look() -> None:
        raise SystemExit(run(settings, as_json=as_json, repair=repair))

    _end_hard(look)


@app.command()
def rebuild(
    *,
    data_dir: DataDirOption = None,
    restored: Annotated[
        bool, typer.Option("--restored", help="The database was put back from a copy: compare it with the carrier.")
    ] = False,
    everyone: Annotated[
        bool, typer.Option("--all", help="Have leads plan anew that Temporal knows, too: it was put back from a copy.")
    ] = False,
    without_unread: Annotated[
        bool, typer.Option("--without-unread", help="With --restored: go on though leads could not be compared.")
    ] = False,
    note: Annotated[
        bool,
        typer.Option("--note", help="With --restored: only note that it was put back, before anything is entered"),
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --note: it was put back once more since it was noted")
    ] = False,
    rate: Annotated[float, typer.Option(min=1, help="How many are started a second, at most.")] = 200.0,
    as_json: JsonOption = False,
) -> None:
    """Start a workflow for every lead with something to come that has none, after Temporal was lost."""
    for name, given in (("--without-unread", without_unread), ("--note", note)):
        if given and not restored:
            raise typer.BadParameter("it goes with --restored", param_hint=name)
    if again and not note:
        raise typer.BadParameter("it goes with --note", param_hint="--again")
    for name, given in (("--without-unread", without_unread), ("--all", everyone)):
        if note and given:
            raise typer.BadParameter("with --note nothing is compared, and nobody is started", param_hint=name)
    settings = _ready_settings(data_dir)
    from stack.rebuild import Options, run  # noqa: PLC0415

    _end_hard(lambda: run(settings, Options(restored, everyone, rate, as_json, without_unread, note, again)))


def _ready_settings(data_dir: Path | None) -> Settings:
    """Settings of a process that needs database, Temporal and keys. Raises StartError."""
    settings = read_settings(data_dir)
    if wrong := check_start(settings):
        raise StartError(f"{settings.environment} refuses to start: " + "; ".join(wrong))
    for name in ("database_url", "temporal_address", "keys"):
        if getattr(settings, name) is None:
            raise StartError(f"TEND_{name.upper()} is not set, and no `tend up` is running on {settings.data_dir}")
    assert settings.database_url is not None and settings.keys is not None
    if settings.carrier == "sandbox" and (missing := sandbox_credentials_missing(settings)):
        raise StartError(
            f"TEND_{missing[0].upper()} is not set: start `tend sandbox` on the same data directory first, which "
            "makes the sandbox carrier's credentials"
        )
    with contextlib.suppress(SQLAlchemyError):  # away, or not migrated: then nothing can be damaged yet
        keys = settings.keys.get_secret_value()
        asyncio.run(check_ring(settings.database_url, keys, DataDir(settings.data_dir).keys))
    return settings


def _end_hard(run: Callable[[], None]) -> NoReturn:
    """Runs to the end and leaves at once: Temporal's library may abort a Python that is tearing itself down."""
    code = 0
    try:
        run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (TendError, OperationalError, ProgrammingError) as error:
        code = _complain(error)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    with contextlib.suppress(OSError):  # a pipe that nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _complain(error: TendError | DBAPIError) -> int:
    """One line on stderr; the exit code."""
    if isinstance(error, DBAPIError):  # its text may hold the whole address, password and all
        why = type(error.orig or error).__name__
        if why == "UndefinedTable":
            print("tend: the database was never migrated: run `tend migrate`, or `tend up`", file=sys.stderr)
        else:
            print(
                f"tend: the database does not answer ({why}): is it up, and TEND_DATABASE_URL right?", file=sys.stderr
            )
    else:
        print(f"tend: {error}", file=sys.stderr)
    return error.exit_code if isinstance(error, StartError) else 1


def main() -> None:
    """Entry point of `tend`: an error that Tend raises on purpose is one line on stderr, not a traceback."""
    _end_hard(app)


if __name__ == "__main__":
    main()
