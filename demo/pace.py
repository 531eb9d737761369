"""How fast the demo's clock runs: slow where people work, so that it is seen and done in time, fast where all rests."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Stretch:
    """Until `until` (product time since the start) at `pace` product seconds a real second."""

    until: timedelta
    pace: int

    @classmethod
    def to(cls, days: int, clock: str, pace: int) -> "Stretch":
        """`clock` is hours and minutes since the start's time of day: 04:00 is four hours later."""
        hours, minutes = clock.split(":")
        return cls(timedelta(days=days, hours=int(hours), minutes=int(minutes)), pace)


# A call waits ten minutes for somebody to claim it, which is two seconds at 300; a whole night takes half a second.
# Behind each slow stretch comes a middling one, for what is not settled by its end.
STRETCHES = (
    Stretch.to(0, "00:11", 60),  # all ask; the first texts, replies and calls
    Stretch.to(0, "00:59", 2500),
    Stretch.to(0, "01:14", 300),  # eight o'clock in California; the e-mails after an hour
    Stretch.to(0, "03:59", 5000),
    Stretch.to(0, "04:14", 200),  # the second calls
    Stretch.to(0, "04:30", 1000),
    Stretch.to(0, "04:58", 4000),
    Stretch.to(0, "05:12", 300),  # the slow answer; California's second call
    Stretch.to(0, "05:30", 1500),
    Stretch.to(0, "23:59", 100_000),
    Stretch.to(1, "00:20", 300),  # the link to book: two book
    Stretch.to(1, "01:30", 3000),
    Stretch.to(1, "03:30", 6000),  # one comes, one does not
    Stretch.to(1, "23:59", 100_000),
    Stretch.to(2, "00:18", 300),  # the rest after an answer is over: calls
    Stretch.to(2, "00:40", 1500),
    Stretch.to(2, "01:58", 10_000),
    Stretch.to(2, "02:13", 500),  # the call after the no-show, of whichever of the two it was
    Stretch.to(2, "02:29", 4000),
    Stretch.to(2, "02:45", 500),
    Stretch.to(2, "03:59", 10_000),
    Stretch.to(2, "04:15", 300),
    Stretch.to(2, "05:20", 2500),
    Stretch.to(2, "23:59", 100_000),
    Stretch.to(3, "01:15", 4000),  # the e-mail of the third day
    Stretch.to(4, "02:00", 150_000),
    Stretch.to(4, "02:45", 4000),
    Stretch.to(4, "23:59", 150_000),
    Stretch.to(5, "00:30", 4000),
    Stretch.to(7, "00:00", 150_000),
    Stretch.to(7, "00:17", 300),  # the last calls
    Stretch.to(7, "00:58", 2500),
    Stretch.to(7, "01:14", 400),
    Stretch.to(7, "01:30", 1500),
    Stretch.to(8, "23:59", 150_000),
    Stretch.to(9, "00:20", 300),  # and those of who had rested
    Stretch.to(10, "00:00", 100_000),
)
AFTERWARDS = 60  # so that one can watch a lead of one's own
LASTS = STRETCHES[-1].until


def pace_text(stretches: tuple[Stretch, ...] = STRETCHES, afterwards: int = AFTERWARDS) -> str:
    """As `--pace` takes it."""
    parts, before = [], timedelta()
    for stretch in stretches:
        parts.append(f"{stretch.pace}:{(stretch.until - before) // timedelta(minutes=1)}m")
        before = stretch.until
    return ",".join([*parts, str(afterwards)])


def real_time(stretches: tuple[Stretch, ...] = STRETCHES) -> timedelta:
    """What they take on a watch."""
    total, before = timedelta(), timedelta()
    for stretch in stretches:
        total += (stretch.until - before) / stretch.pace
        before = stretch.until
    return total
