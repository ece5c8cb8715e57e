# Everything a newcomer needs; `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install run lab test lint lock mlflow prefect stop clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "Installing the locked environment into $(VENV) (about 2 minutes) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	@touch $@

install: $(VENV)/.ready ## create .venv from the lock

run: $(VENV)/.ready ## the main job: the quick profile, from scripted play to the report (about 10 minutes)
	@$(BIN)/python -m flows.run

lab: $(VENV)/.ready ## the laptop profile as a DVC experiment (half an hour to an hour)
	@$(BIN)/python -m flows.run --profile laptop

test: $(VENV)/.ready ## the whole test suite
	@$(BIN)/python -m pytest

lint: $(VENV)/.ready ## style and layers
	@$(BIN)/ruff check . && $(BIN)/lint-imports

lock: ## resolve requirements.in into requirements.lock
	$(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-emit-index-url --no-header requirements.in -o requirements.lock

mlflow: $(VENV)/.ready ## open the MLflow pages on http://127.0.0.1:5000
	@set -a; . mlflow/server.env; $(BIN)/mlflow server --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///mlflow.db

prefect: $(VENV)/.ready ## start the Prefect server of `make run` and print its address
	@$(BIN)/python -m flows.server start

stop: ## stop the local Prefect server
	@$(BIN)/python -m flows.server stop

clean: ## remove run state and generated outputs (not the environment)
	rm -rf runs metrics plots reports models bank data records mlruns mlflow.db .prefect
