# Everything is set up on the way: `make demo` and `make test` need only Python 3.11 or later.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
export OMP_NUM_THREADS ?= 2
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help install demo test test-slow check bench fuzz mutants docs clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## set up the environment in .venv
$(STAMP): pyproject.toml constraints.txt
	@echo "installing torch and the other libraries into $(VENV): some minutes and 2.6 GB"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	rm -f $(VENV)/.installed-*
	touch $@
	@echo "installed; this puts voxlate on the path of this shell: . $(BIN)/activate"

demo: install ## simulate patients, train, translate, evaluate and report, from nothing
	$(BIN)/python -m voxlate.demo demo

test: install ## the tests, without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow'

test-slow: install ## the slow tests
	$(BIN)/python -m pytest -m slow

check: install ## style, complexity and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install ## every benchmark (hours); results go to benchmarks/results
	failed=""; for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || failed="$$failed $$bench"; done; \
	  test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

FUZZ_RUNS ?= 100000
fuzz: install ## coverage-guided fuzzing of every reader (an hour); FUZZ_RUNS executions each
	$(BIN)/python -m pip install --quiet --constraint constraints.txt '.[fuzz]'
	for target in $$($(BIN)/python tests/fuzzing/names.py); do \
	  $(BIN)/python tests/fuzzing/run.py $$target -runs=$(FUZZ_RUNS) || exit 1; done

mutants: install ## which changes of the numerical code no test notices (hours)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt '.[mutants]'
	$(BIN)/mutmut run || true
	$(BIN)/mutmut results

docs: install ## run the commands in the documentation and rebuild its tables
	$(BIN)/python -m pytest tests/house/test_documentation.py
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/paper_pages.py
	$(BIN)/python benchmarks/reference.py

clean: ## remove what was made, but not the environment
	rm -rf demo runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
