"""`python -m bench.serve_bare worker|web ...`: one process of the bare workflow, on the product's event loop."""

import sys

import uvloop

from bench.bare import RUNS

if __name__ == "__main__":
    uvloop.run(RUNS[sys.argv[1]](*sys.argv[2:]))
