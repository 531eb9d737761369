"""Where builds are told apart: whether the leads move to this one, and what to do where they move to none at work."""

import contextlib

from temporalio.client import Client
from temporalio.service import RPCError

from config.settings import Settings
from wire.deployments import Deployments, NoneAtWork


async def waits(client: Client, settings: Settings) -> str | None:
    """The build of these settings, if it gets no work until a person names it; None too if Temporal does not say."""
    name, build = settings.deployment_name, settings.build_id
    if name is None or build is None:
        return None
    with contextlib.suppress(RPCError):
        if not await Deployments(client, name).is_current(build):
            return build
    return None


async def none_current(client: Client, settings: Settings) -> bool:
    """Whether the leads move to none of the deployment's builds, for who was told of no build. Raises RPCError."""
    if settings.deployment_name is None or settings.build_id is not None:
        return False
    builds = await Deployments(client, settings.deployment_name).builds()
    return bool(builds) and all(build.status != "current" for build in builds)


def advice(error: NoneAtWork) -> str:
    """What lets the leads get on, for a shell that need know nothing of builds."""
    if not error.asking:
        return "start `tend worker`, or see its log"
    builds = sorted(version for version in error.asking if version is not None)
    due = [version for version in error.due if version is not None]
    verb = f"current {builds[0].build_id if len(builds) == 1 else 'BUILD'}" if builds else "unversioned"
    name = (builds or due)[0].deployment
    other = f", or start workers of build {due[0].build_id}" if due else ""
    return f"`tend release {verb}` with TEND_DEPLOYMENT_NAME={name}{other}"
