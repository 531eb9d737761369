"""What else used the processor while something was measured: a figure means little without it."""

import resource
from dataclasses import dataclass
from typing import Self

import psutil


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Processor seconds since boot: all there were, those taken by anybody, by the host, and by us and our children."""

    total: float
    busy: float
    stolen: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        times = psutil.cpu_times()
        total = float(sum(times)) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        stolen = float(getattr(times, "steal", 0.0))
        idle = float(times.idle) + float(getattr(times, "iowait", 0.0))
        # children count once they have ended and were waited for: a stack has, when its benchmark returns
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(total, total - idle - stolen, stolen, sum(u.ru_utime + u.ru_stime for u in usage))

    def since(self, before: "Surroundings") -> str:
        """A sentence on the time between."""
        total = max(self.total - before.total, 0.01)
        ours = self.ours - before.ours
        others = max(0.0, self.busy - before.busy - ours)
        return (
            f"Meanwhile the measured parts and their client used {ours / total:.0%} of the processors, other work "
            f"{others / total:.0%}, and the host of this machine withheld {(self.stolen - before.stolen) / total:.0%}."
        )
