# Needs Python 3.11 or newer and make; everything else comes from the lock files.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
TEND := $(VENV)/bin/tend
PIP := $(PY) -m pip -qq --disable-pip-version-check --no-input
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate pyproject.toml

.PHONY: help setup up demo test check bench bench-full soak lock clean

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.setup  ## make .venv with the locked dependencies

up: setup  ## start everything on this machine: tend up
	@exec $(TEND) up

demo: setup  ## the main job on view: tend demo
	@exec $(TEND) demo

test: $(VENV)/.setup-dev  ## run every test
	@$(PY) -m pytest -n 4 --dist loadgroup

check: $(VENV)/.setup-dev  ## linter, formatter, types, import contracts, docs
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy .
	@$(VENV)/bin/lint-imports
	@if [ -d tests/architecture ]; then $(PY) -m pytest -q tests/architecture; fi

bench: $(VENV)/.setup-dev  ## run the benchmarks and print their numbers
	@$(PY) -m bench

bench-full: $(VENV)/.setup-dev  ## the benchmark of 100,000 sleeping leads (an hour or more)
	@$(PY) -m bench sleeping-full
soak: $(VENV)/.setup-dev  ## kill and freeze parts 1000 times; Ctrl-C stops, the next goes on
	@exec $(PY) -m tests.faults.soak

lock:  ## compile the lock files anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	$(COMPILE) --extra build -o requirements.lock
	$(COMPILE) --extra build --extra dev -c requirements.lock -o requirements-dev.lock

clean:  ## remove .venv and what tools keep (no data directory)
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The set-up is done again only when a lock file or pyproject.toml changed.
$(VENV)/bin/python:
	@for python in python3.13 python3.12 python3.11 python3 python; do \
		if command -v $$python >/dev/null 2>&1 && \
			$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "making $(VENV) with $$($$python --version)"; exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "Python 3.11 or newer with venv is needed: install it (Debian: apt install python3 python3-venv)" >&2; exit 1

$(VENV)/.setup: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the locked dependencies (a minute or two the first time)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.setup-dev: requirements-dev.lock $(VENV)/.setup
	@echo "installing what tests need"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
