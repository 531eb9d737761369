"""What the carrier does wrong, as `POST /_sandbox/faults` takes it."""

from tests.faults.record import Json

# Callbacks come late, twice and in any order; answers are lost after acceptance, or say 5xx; lists lag. All of it is
# told of at last, so that nothing may stay unknown.
WELL_TOLD: Json = {
    "latency_ms": 100,
    "error_rate": 0.03,
    "error_status": 429,
    "lose_answer_rate": 0.05,
    "error_after_accept_rate": 0.05,
    "accept_late_rate": 0.04,
    "accept_late_ms": 2500,
    "list_lag_ms": 2000,
    "duplicate_callback_rate": 0.2,
    "callback_delay_ms": [0, 3000],
}
# And some callbacks never come, some errors do not say whether it was taken, and some of what is taken never arrives,
# as at a landline: a text that is worth a second try would leave one planned for long after a run.
EVERYTHING: Json = WELL_TOLD | {
    "error_status": 500,
    "drop_callback_rate": 0.1,
    "refuse_rate": 0.03,
    "error_code": 30006,
}
