# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo
WORKERS ?= 2
# Each process takes tests from its own end of the list, then from the other's; what is dear is made once for all.
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --durations 10

.PHONY: help setup demo docs test test-all lint types contracts check floors resolve wheels arm arm-networks clean

help:
	@echo "make demo      set up, then export, check and run two models on drawn people (into $(OUT)/)"
	@echo "make test      set up, then run the tests (without the slow ones), in WORKERS=2 processes"
	@echo "make test-all  the slow ones too"
	@echo "make docs      the documentation and the API reference as a static site (site/index.html)"
	@echo "make check     lint, types, import contracts"
	@echo "make floors    the board's tests with the oldest packages that are allowed, and with Python 3.13"
	@echo "make wheels    the wheel in fresh environments, one engine each, without torch"
	@echo "make arm       artifacts, tests and commands on an emulated ARM board (apt, no root)"
	@echo "make resolve   whether every Python and CPU finds wheels (installs nothing)"

setup: $(VENV)/.ready

# torch first and pinned: left to the resolver, pip takes the newest build and gigabytes of CUDA packages.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,test]'
	touch $@

demo: setup
	$(BIN)/edgepose demo --out $(OUT) --force

test: setup
	$(PYTEST) -m 'not slow'

test-all: setup
	$(PYTEST)

docs: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python .ci/site.py site

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

check: lint types contracts

floors: setup
	UV=$(BIN)/uv .ci/floors

arm: setup
	UV=$(BIN)/uv PYTHON=$(BIN)/python .ci/arm

# in half precision, every network of ../shared/oracles; does nothing where that is absent
arm-networks: setup
	UV=$(BIN)/uv PYTHON=$(BIN)/python .ci/arm networks

wheels: setup
	UV=$(BIN)/uv PYTHON=$(BIN)/python .ci/wheels

resolve: setup
	UV=$(BIN)/uv .ci/resolve

clean:
	rm -rf $(VENV) demo artifacts build dist
