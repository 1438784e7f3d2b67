# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo
WORKERS ?= 2
# Each process takes tests from its own end of the list, then from the other's; what is dear is made once for all.
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: help setup demo test test-all lint types contracts check clean

help:
	@echo "make demo      set up, then export, check and run two models on drawn people (into $(OUT)/)"
	@echo "make test      set up, then run the tests (without the slow ones), in WORKERS=2 processes"
	@echo "make test-all  the slow ones too"
	@echo "make check     lint, types, import contracts"

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

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

check: lint types contracts

clean:
	rm -rf $(VENV) demo artifacts build dist
