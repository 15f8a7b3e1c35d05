# make setup: a virtual environment in .venv with molgen and everything it needs, compiled on all cores (pip would take one)
# make sample: 64 molecules from the weights that ship, in molecules.sdf
# make test: the tests;  make check: style, types and import contracts
PYTHON ?= python3
VENV ?= .venv
PACKAGE ?= -e '.[test,dev]'
BIN := $(VENV)/bin
CORES := $(shell getconf _NPROCESSORS_ONLN)

.PHONY: setup sample test check

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile -c constraints.txt $(PACKAGE)
	find $(VENV)/lib/python*/site-packages -mindepth 1 -maxdepth 1 -print0 | xargs -0 -n 6 -P $(CORES) $(BIN)/python -m compileall -q -x '/tests?/' >/dev/null 2>&1 || true
	touch $@

sample: setup
	$(BIN)/molgen sample qm9 --num 64 --out molecules.sdf

test: setup
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
