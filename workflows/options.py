"""Timeouts and retries of activities, in real seconds, with their reasons."""

from datetime import timedelta

from temporalio.common import Priority, RetryPolicy

# By the exception's name: a lead that is not there (a database older than Temporal) will not be there later either.
HOPELESS = ["NoSuchLead"]

# Whose worker is killed or frozen is given to another after so long; see activities.heartbeat.
LOST_AFTER = timedelta(seconds=3)

# A workflow's task takes milliseconds; that of a killed worker is given to another after so long, not after 10 s.
TASK_LIMIT = timedelta(seconds=3)

# A plan is one short transaction; while the database is away it is tried until it is back.
PLAN_LIMIT = timedelta(seconds=10)
PLAN_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=5),
    non_retryable_error_types=HOPELESS,
)

# A touch: claim, one request of at most 8 s, settle; within the 15 s that a claim lives. After a killed worker the next
# try begins long before, as the heartbeats end. The ledger bounds the tries, not Temporal.
TOUCH_LIMIT = timedelta(seconds=12)
TOUCH_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=30),
    non_retryable_error_types=HOPELESS,
)

# A queue without a limit hands a touch out at once, and it is over within seconds.
HANDED_OUT_WITHIN = timedelta(seconds=5)

# A sweep that fails, or whose worker is lost, is over by that, and its schedule begins the next one a minute later: it
# wakes at its end, and its bounds bring it there.
SWEEP_EVERY = timedelta(minutes=1)
SWEEP_LIMIT = timedelta(minutes=5)
SWEEP_RETRY = RetryPolicy(maximum_attempts=1)
SWEEP_PRIORITY = Priority(priority_key=5)  # the last: whatever a lead waits for goes first
