# Every target prepares what it needs: `make demo` in a fresh clone is enough.
# A stamp in .venv tells what is installed; it is out of date when pyproject.toml or a lock changes.

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
BY_LOCK := --require-hashes --no-deps
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group build
# What must have no branch that no test takes: the machine, handlers, codecs and translations.
COVERED := fsm/*,handlers/*,adapters/carriers/*/*,adapters/sts/*/*

.DEFAULT_GOAL := help
.PHONY: help install demo serve test coverage check format diagrams schema lock clean

help: ## What there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/.for-work ## Make .venv with everything, tools for tests and checks included

demo: $(VENV)/.for-calls ## A whole call on this machine: no key, no server, no telephone
	@$(BIN)/callchart demo $(ARGS)

serve: $(VENV)/.for-calls ## Answer calls, with the settings of .env if there is one
	@set -a; if [ -f .env ]; then . ./.env; fi; set +a; exec $(BIN)/callchart serve $(ARGS)

test: $(VENV)/.for-work ## Every test; ARGS="tests/fsm -x" for some
	@scripts/prepare-xstate
	@scripts/prepare-chromium
	@$(BIN)/python -m pytest $(ARGS)

coverage: $(VENV)/.for-work ## Every test, and which branches none took; fails if the core has one
	@scripts/prepare-xstate
	@scripts/prepare-chromium
	@$(BIN)/python -m pytest --cov=fsm --cov=handlers --cov=adapters --cov-report=term-missing:skip-covered $(ARGS)
	@$(if $(ARGS),,$(BIN)/python -m coverage report --include='$(COVERED)' --fail-under=100 --skip-covered --precision=2)

check: $(VENV)/.for-work ## Format, lint, types, imports, charts, diagrams, schema, short benchmarks
	@scripts/check

format: $(VENV)/.for-work ## Put the code into its format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

diagrams: $(VENV)/.for-calls ## Draw the bundled charts anew
	@$(BIN)/callchart diagram

schema: $(VENV)/.for-calls ## Write the schema of charts anew, from the handlers
	@$(BIN)/callchart schema

lock: $(VENV)/.for-work ## Lock the newest versions that pyproject.toml allows
	@$(COMPILE) --upgrade --extra redis pyproject.toml --output-file requirements.lock
	@$(COMPILE) --upgrade --extra redis --extra dev --constraint requirements.lock pyproject.toml --output-file requirements-dev.lock
	@wc -l requirements.lock requirements-dev.lock

clean: ## Remove what was installed or cached; calls in .callchart stay
	rm -rf $(VENV) tests/xstate/node_modules build callchart.egg-info .coverage .hypothesis
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.for-calls: pyproject.toml requirements.lock
	@scripts/make-venv "$(PYTHON)" $(VENV)
	@$(PIP) install --quiet $(BY_LOCK) --requirement requirements.lock
	@$(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.for-work: $(VENV)/.for-calls requirements-dev.lock
	@$(PIP) install --quiet $(BY_LOCK) --requirement requirements-dev.lock
	@touch $@
