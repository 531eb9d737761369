"""Errors of the domain. Their texts never hold a person's data: they may reach a log."""

from datetime import timedelta


class TendError(Exception):
    """Root of all errors that Tend raises on purpose."""


class InvalidClock(TendError):
    """A clock or pace that cannot be."""


class InvalidSequence(TendError):
    """A sequence or template file that cannot be used; says file, step and what was meant."""


class NewerFact(TendError):
    """A later release wrote this fact. Nothing is done with its lead by this one, which would misread it."""

    def __init__(self, kind: str, version: int, release: str | None) -> None:
        wanted = f"release {release} or a later one" if release else "the release that wrote it, or a later one"
        super().__init__(f"a fact of kind {kind}, version {version}, cannot be read by this release: run {wanted}")


class UnreadableSequence(TendError):
    """A published sequence version that this release cannot read. Nothing is done with its leads by this one."""

    def __init__(self, key: str, version: int, cause: str) -> None:
        super().__init__(
            f"version {version} of sequence {key} cannot be read by this release ({cause}): "
            "run the release that published it, or a later one"
        )
        self.cause = cause


class ClaimOver(TendError):
    """A claim ended before its request was written: nothing was sent, and it may be another's by now."""


class ClocksApart(TendError):
    """Somebody's clock is far from ours, and whose is right nobody knows: what can wait waits until they agree."""

    def __init__(self, whose: str, apart: timedelta) -> None:
        seconds = f"{abs(apart.total_seconds()):.0f} s {'ahead of' if apart > timedelta(0) else 'behind'}"
        super().__init__(f"the clock of {whose} is {seconds} this machine's: set both (NTP); nothing is done meanwhile")


class NotFound(TendError):
    """Nothing is known under that id."""


class NoSuchLead(NotFound):
    """No lead has that id: nothing will change that."""


class Refused(TendError):
    """A command that cannot be carried out in the present state."""

    def __init__(self, reason: str, state: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.state = state


class InvalidInput(TendError):
    """A value that cannot be valid; `field` names where it was given."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
