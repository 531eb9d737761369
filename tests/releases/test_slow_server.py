"""A Temporal server with so much to do that it gives a change of builds up, or never says that all queues know it."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import RoutingConfigUpdateState
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from stack.preflight import StartError
from stack.release_cli import _run
from store.engine import Store
from tests.releases.installation import NAME, QUEUES, Installation, open_installation
from wire.deployments import Deployments, NotTold
from wire.keyring import KeyRing

SHORT = timedelta(seconds=1)


class NeverSays(Deployments):
    async def _describe(self) -> WorkerDeploymentInfo | None:
        found = await super()._describe()
        if found is not None:
            found.routing_config_update_state = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS
        return found


class GivesUp(Deployments):
    """Once: it may have been done or not."""

    tried: list[str] = []
    does = False

    async def _set(self, build_id: str) -> None:
        self.tried.append(build_id)
        if self.does:
            await super()._set(build_id)
        if len(self.tried) == 1:
            raise RPCError("too much to do", RPCStatusCode.CANCELLED, b"")
        await super()._set(build_id)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GivesUp, "tried", [])
    monkeypatch.setattr(GivesUp, "does", False)


async def current(tend: Installation) -> list[str]:
    return [b.build_id for b in await tend.deployments.builds() if b.status == "current"]


async def test_each_queue_is_asked_where_the_server_does_not_say_that_all_are_told(
    store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_installation(store, keyring) as tend:
        await tend.start("1")
        never = NeverSays(tend.client, NAME)
        await never.make_current("1", QUEUES)
        assert (await current(tend), await never.untold(QUEUES)) == (["1"], [])
        await never.make_unversioned(QUEUES)
        assert (await current(tend), await never.untold(QUEUES)) == ([], [])

        monkeypatch.setattr("wire.deployments._due", lambda _: frozenset({None}))  # as if none had heard of it
        with pytest.raises(NotTold, match=", ".join(sorted(QUEUES))):
            await NeverSays(tend.client, NAME, SHORT).make_current("1", QUEUES)
        assert await never.untold(QUEUES) == sorted(QUEUES)
        assert await tend.deployments.untold(QUEUES) == [], "the server has said it"


@pytest.mark.parametrize("does", [True, False])
async def test_what_the_server_gives_up_is_tried_again_unless_it_was_done(
    store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch, patient: None, *, does: bool
) -> None:
    monkeypatch.setattr(GivesUp, "does", does)
    async with open_installation(store, keyring) as tend:
        await tend.start("1")
        await GivesUp(tend.client, NAME).make_current("1", QUEUES)
        assert (await current(tend), GivesUp.tried) == (["1"], ["1"] * (1 if does else 2))


async def test_who_cannot_be_told_whether_it_was_done_stops_no_worker(
    store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_much(*_: object) -> None:
        raise RPCError("too much to do", RPCStatusCode.DEADLINE_EXCEEDED, b"")

    async with open_installation(store, keyring) as tend:
        await tend.start("1")
        await tend.deployments.make_current("1", QUEUES)
        hasty = Deployments(tend.client, NAME, SHORT)
        with monkeypatch.context() as patch:
            patch.setattr(Deployments, "untold", too_much)
            with pytest.raises(NotTold, match=r"it is done, but .* \(DEADLINE_EXCEEDED\): stop no worker"):
                await hasty.make_unversioned(QUEUES)
        assert await current(tend) == []
        with monkeypatch.context() as patch:
            patch.setattr(Deployments, "_set", too_much)
            with pytest.raises(NotTold, match=r"does not say whether it was done \(DEADLINE_EXCEEDED\): run it again"):
                await hasty.make_current("1", QUEUES)


async def test_what_fails_while_queues_are_asked_is_asked_again(
    store: Store, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = Deployments.untold, []

    async def fails_once(deployments: Deployments, queues: tuple[str, ...]) -> list[str]:
        asked.append(queues)
        if len(asked) == 1:
            raise RPCError("too much to do", RPCStatusCode.CANCELLED, b"")
        return await real(deployments, queues)

    monkeypatch.setattr(Deployments, "untold", fails_once)
    async with open_installation(store, keyring) as tend:
        await tend.start("1")
        await tend.deployments.make_current("1", QUEUES)
        assert (await current(tend), len(asked) > 1) == (["1"], True)


def test_the_command_says_to_run_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connected(*_: Any, **__: Any) -> Client:
        raise RPCError("too much to do", RPCStatusCode.CANCELLED, b"")

    monkeypatch.setattr("wire.connect.connect", connected)
    for name, value in (("DEPLOYMENT_NAME", NAME), ("TEMPORAL_ADDRESS", "127.0.0.1:1"), ("KEYS", KeyRing.make())):
        monkeypatch.setenv(f"TEND_{name}", value)
    with pytest.raises(StartError, match=r"\(CANCELLED\): run it again"):
        _run(None, lambda deployments: deployments.builds())
