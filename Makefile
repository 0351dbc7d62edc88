# Every target sets up what it needs: a virtual environment in .venv with the project installed from these files.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help setup demo test test-slow lint format type check tiny screenshots wheel clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -e ".[dev]"
	@touch $(STAMP)

setup: $(STAMP) ## create .venv and install the project with everything needed to develop it

demo: $(STAMP) ## train the bundled model with PPO, A2C and TRPO and compare (at most 10 minutes on 2 cores)
	$(BIN)/python -m benchmarks demo --out runs/demo

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(STAMP) ## run the long tests
	$(BIN)/python -m pytest -m slow

format: $(STAMP) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP) ## check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

type: $(STAMP) ## check types
	$(BIN)/mypy

check: lint type test ## everything that continuous integration runs

tiny: $(STAMP) ## train the bundled model anew from the environments' own text
	$(BIN)/python -m agents.tiny --out lm_envs/bundled/tiny

screenshots: $(STAMP) ## take the pictures of docs/annotate.md anew (needs Chromium and its driver)
	$(BIN)/python -m tests.agents.annotation.screenshots docs/images

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## remove the virtual environment and build products
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
