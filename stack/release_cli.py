"""`tend release`: which build of the workers the leads run on, where TEND_DEPLOYMENT_NAME is set."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from stack.preflight import StartError, read_settings

if TYPE_CHECKING:
    from wire.deployments import Build, Deployments

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="The data directory of `tend up`. [default: .tend]")
]


@app.command()
def show(
    data_dir: DataDirOption = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the builds whose workers have polled, newest first."""

    async def work(deployments: "Deployments") -> "tuple[list[Build], list[str]]":
        return await deployments.builds(), await deployments.untold(_queues())

    found, untold = _run(data_dir, work)
    if as_json:
        print(json.dumps([{"build": b.build_id, "status": b.status} for b in found]))
        return
    for build in found:
        print(f"{build.build_id}  {build.status}")
    if not any(build.status == "current" for build in found):
        print("no build is current: leads run on workers without a version, if there are any")
    if untold:
        print(f"not told of it yet: {', '.join(untold)}")


@app.command()
def current(
    build_id: Annotated[str, typer.Argument(metavar="BUILD", help="The TEND_BUILD_ID of the workers.")],
    data_dir: DataDirOption = None,
) -> None:
    """Let all leads run on this build: each moves at its next step or signal. Also the way back."""

    _run(data_dir, lambda deployments: deployments.make_current(build_id, _queues()))
    print(f"build {build_id} is current")


@app.command()
def unversioned(data_dir: DataDirOption = None) -> None:
    """Let all leads run on workers that were started without a version."""
    _run(data_dir, lambda deployments: deployments.make_unversioned(_queues()))
    print("no build is current: leads run on workers without a version, if there are any")


def _queues() -> tuple[str, ...]:
    from workflows import names  # noqa: PLC0415 - as below

    return (names.LEADS_QUEUE, *names.CHANNEL_QUEUES.values())


def _run(data_dir: Path | None, work: "Callable[[Deployments], Awaitable[T]]") -> T:
    """Raises StartError, NotReady, NotTold."""
    from temporalio.service import RPCError  # noqa: PLC0415 - takes a while, and not every verb of `tend` needs it

    from wire.connect import connect  # noqa: PLC0415
    from wire.deployments import Deployments  # noqa: PLC0415
    from wire.keyring import KeyRing  # noqa: PLC0415

    settings = read_settings(data_dir)
    name, address, keys = settings.deployment_name, settings.temporal_address, settings.keys
    if name is None:
        raise StartError(
            "TEND_DEPLOYMENT_NAME is not set here: set it for this command, as it was for the workers; where none ever "
            "had it there is nothing to choose"
        )
    if address is None or keys is None:
        raise StartError(
            f"no `tend up` is running on {settings.data_dir}: start it, give its --data-dir, "
            "or set TEND_TEMPORAL_ADDRESS and TEND_KEYS"
        )

    async def main() -> T:
        ring = KeyRing.parse(keys.get_secret_value())
        client = await connect(address, settings.temporal_namespace, ring, **settings.temporal_access)
        return await work(Deployments(client, name))

    try:
        return asyncio.run(main())
    except RPCError as error:
        raise StartError(
            f"Temporal did not do it ({error.status.name}): run it again, and if it stays so see Temporal's log, "
            "and TEND_TEMPORAL_*"
        ) from None
    except RuntimeError:
        raise StartError(f"no Temporal at {address}: is it up, and TEND_TEMPORAL_ADDRESS right?") from None
