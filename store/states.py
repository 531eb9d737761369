"""The last known states of leads: facts are never changed, so only those that came since must be read and folded."""

from collections import OrderedDict

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.lead_state import LeadState

_MOST = 1000


class States:
    """Holds what was committed, and only that. Forgets all with each new connection: the database may be another."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._states: OrderedDict[str, LeadState] = OrderedDict()
        event.listen(engine.sync_engine, "connect", lambda *_: self.forget())

    def get(self, lead_id: str) -> LeadState | None:
        return self._states.get(lead_id)

    def keep(self, state: LeadState) -> None:
        self._states[state.lead_id] = state
        self._states.move_to_end(state.lead_id)
        if len(self._states) > _MOST:
            self._states.popitem(last=False)

    def forget(self) -> None:
        self._states.clear()
