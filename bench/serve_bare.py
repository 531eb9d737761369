"""`python -m bench.serve_bare worker|web ...`: one process of the bare workflow, run as the product runs its own."""

import sys

import uvloop

from bench.bare import RUNS
from config.collector import keep_what_is_loaded

if __name__ == "__main__":
    keep_what_is_loaded()
    uvloop.run(RUNS[sys.argv[1]](*sys.argv[2:]))
