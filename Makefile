# Everything is set up by the target that needs it: Python >= 3.11 with venv, and make, are enough.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never
export VIRTUAL_ENV :=

.DEFAULT_GOAL := help
.PHONY: help demo sandbox test check format clean lock

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=/path/to/python3")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Two depths of set-up: what people run, and what developers need on top of it.
$(VENV)/.people: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --quiet --frozen --inexact --extra sandbox
	@touch $@

$(VENV)/.developers: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --quiet --frozen --inexact --extra sandbox --group dev
	@touch $@ $(VENV)/.people

demo: $(VENV)/.people  ## Rotate a key and seal a PDF, on this machine alone
	@$(BIN)/rotation demo

sandbox: $(VENV)/.people  ## Keep the sandbox running for the aws command line
	@$(BIN)/rotation sandbox

test: $(VENV)/.developers  ## Run the tests
	@$(BIN)/python -m pytest $(PYTEST)

check: $(VENV)/.developers  ## Lint, format, types, template, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/cfn-lint template.yaml
	@$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(VENV)/.developers  ## Format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: | $(UV)  ## Renew uv.lock from pyproject.toml
	@$(UV) lock

clean:  ## Remove everything that was built or installed
	rm -rf $(VENV) build .sandbox .bench .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
