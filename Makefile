# make demo   the whole flow on generated data
# make test   lint, types and all tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= dev
READY := $(VENV)/.ready-$(EXTRAS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick lint bench results settings soak clean

help:
	@sed -n '/^# make/s/^# //p' Makefile

# pip chooses torch and torchvision together, into an environment of its own: mixed builds fail at import
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "pathsearch needs Python 3.10 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $(READY)

demo: $(READY)
	$(BIN)/pathsearch demo

# make test-quick   the tests that take seconds
test-quick: $(READY)
	$(BIN)/python -m pytest -m 'not slow'

# make lint   format, lint and types
lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

# make soak   1,000 damaged copies of every form of file, over 100 kills, full disks (hours); SOAK_SEED=N gives other ones
soak: $(READY)
	$(BIN)/python -m pytest tests/soak -m soak

# make bench   what is fast and by how much, as ratios in one run (half an hour); tables, JSON and a figure in runs/benchmarks/
bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	for what in population search encoder quality predict; do \
	  $(BIN)/python -m tests.benchmarks.bench_$$what || exit 1; done
	$(BIN)/python -m tests.benchmarks.figure

# make results   docs/results.md again, from the files in docs/evidence
results: $(READY)
	$(BIN)/pathsearch results

# make settings   docs/settings.md again, from the declarations of the settings
settings: $(READY)
	$(BIN)/pathsearch settings --page docs/settings.md

# make clean   remove the environment and caches, not data or runs
clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
