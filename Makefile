.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready ## Make .venv with the comfyfleet command in it

.PHONY: lock
lock: setup ## Resolve the dependencies again (names, versions and hashes only)
	$(BIN)/uv pip compile pyproject.toml --extra local --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra bench --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet -o requirements-dev.lock

.PHONY: gen
gen: setup ## Generate the protobuf code from protos/
	PATH="$(CURDIR)/$(BIN):$$PATH" buf generate

.PHONY: format
format: setup ## Format code and protos
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/buf format -w

.PHONY: check
check: setup ## Lint, types and contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/buf lint
	$(BIN)/buf format -d --exit-code
	$(BIN)/buf breaking --against '.git#ref=HEAD'
	$(BIN)/mypy

.PHONY: test
test: setup ## Set up and run the whole test suite
	$(BIN)/pytest

.PHONY: demo
demo: setup ## Start a fleet, run a workflow on a picture, keep the result in ./out
	bash deploy/local/demo.sh

.PHONY: breaking
breaking: setup ## Compare the contracts with those of the main branch
	$(BIN)/buf breaking --against '.git#branch=main'

.PHONY: bench
bench: setup ## Measure against a bare baseline and against what else one could take
	$(BIN)/python -m tests.bench
