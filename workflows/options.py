"""Timeouts and retries of activities, in real seconds, with their reasons."""

from datetime import timedelta

from temporalio.common import RetryPolicy

# A plan is one short transaction; while the database is away it is tried until it is back.
PLAN_LIMIT = timedelta(seconds=10)
PLAN_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=5)
)

# A touch: claim, one request of at most 8 s, settle; within the 15 s that a claim lives, so that the next try of a
# killed worker begins when the claim is about to be over. The ledger bounds the tries, not Temporal.
TOUCH_LIMIT = timedelta(seconds=12)
TOUCH_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30)
)
