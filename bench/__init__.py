"""Benchmarks: they print what was measured beside what is aimed at, and never pass or fail on speed."""

import warnings

warnings.filterwarnings("ignore", module="platformdirs")  # what it warns of as Postgres is imported is no matter
