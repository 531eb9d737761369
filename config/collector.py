"""Python's collector in a process that serves for months."""

import gc

# The youngest objects are looked through each 10,000 allocations, not each 700: most belong to a request that is soon
# over, and are gone by then without the collector.
_THRESHOLDS = (10_000, 20, 20)


def keep_what_is_loaded() -> None:
    """To be called once all modules are loaded: they live as long as the process, and are never gone through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
