"""The last known states of leads: facts are never changed, so only those that came since must be read and folded."""

from collections import OrderedDict

from domain.lead_state import LeadState

_MOST = 1000


class States:
    """Holds what was committed, and only that.

    Who reads on from a state looks whether its last fact is still there: the database may have been put back.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[str, LeadState] = OrderedDict()

    def get(self, lead_id: str) -> LeadState | None:
        return self._states.get(lead_id)

    def keep(self, state: LeadState) -> None:
        self._states[state.lead_id] = state
        self._states.move_to_end(state.lead_id)
        if len(self._states) > _MOST:
            self._states.popitem(last=False)
