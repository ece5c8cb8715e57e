# Everything a newcomer needs; `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install cluster remote run lab test lint lock mlflow sandbox servers servers-stop doctor prefect clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

FAMILIES := minihack webshop swe
LOCKS := $(patsubst %,requirements/%.lock,base $(FAMILIES))

$(VENV)/.base: $(LOCKS) pyproject.toml
	@echo "Installing the locked environment into $(VENV) (about 2 minutes) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode $(addprefix -r ,$(LOCKS))
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.alfworld: requirements/alfworld.lock $(VENV)/.base
	@echo "Compiling ALFWorld's planner and parser (about 1 minute) ..."
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/alfworld.lock
	@touch $@

# ALFWorld compiles C++: a machine without a compiler gets all other families, and this line about it.
$(VENV)/.ready: $(VENV)/.base $(if $(shell command -v c++),$(VENV)/.alfworld)
	@$(if $(shell command -v c++),,echo "No C++ compiler (c++): ALFWorld is LEFT OUT. Remedy: apt-get install g++ make; then make install")
	@$(if $(shell command -v c++),touch $@)

install: $(VENV)/.ready ## create .venv from the locks

# vLLM asks for packages that must not be here (requirements/overrides.txt), hence --no-deps: the lock lists all that it needs.
$(VENV)/.cluster: requirements/weaviate.lock requirements/ray.lock requirements/vllm.lock $(VENV)/.ready
	@echo "Installing the clients of real servers: Weaviate, Ray, vLLM (about 1 minute) ..."
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-deps --compile-bytecode $(addprefix -r ,$(filter %.lock,$^))
	@touch $@

cluster: $(VENV)/.cluster ## add what real servers and clusters need: Weaviate, Ray, vLLM

$(VENV)/.remote: requirements/remote.lock $(VENV)/.ready
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-deps --compile-bytecode -r requirements/remote.lock
	@touch $@

remote: $(VENV)/.remote ## add what DVC needs for remotes in S3 (docs/remote.md)

run: $(VENV)/.ready ## the main job: the quick profile, from scripted play to the report (about 10 minutes)
	@$(BIN)/python -m flows.run

lab: $(VENV)/.ready ## the laptop profile as a DVC experiment (half an hour to an hour)
	@$(BIN)/python -m flows.run --profile laptop

TEST_PROCESSES ?= 4  # on two cores: many tests wait for servers and containers
test: $(VENV)/.ready ## the whole test suite
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.ready ## style and layers
	@$(BIN)/ruff check . && $(BIN)/lint-imports

COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --no-emit-index-url --no-header --no-annotate
LOCK := $(COMPILE) --generate-hashes -c $(VENV)/together.txt
lock: ## resolve requirements/*.in together, and lock each
	$(COMPILE) --override requirements/overrides.txt requirements/*.in -o $(VENV)/together.txt
	for part in base $(FAMILIES) alfworld weaviate ray remote; do $(LOCK) requirements/$$part.in -o requirements/$$part.lock; done
	$(LOCK) --override requirements/overrides.txt requirements/vllm.in -o requirements/vllm.lock

mlflow: $(VENV)/.ready ## open the pages of what runs recorded without an MLflow server, on http://127.0.0.1:5000
	@$(BIN)/python -m flows.local.mlflow_database mlflow.db
	@set -a; . mlflow/server.env; $(BIN)/mlflow server --host 127.0.0.1 --port 5000 --backend-store-uri sqlite:///mlflow.db

sandbox: ## start a Docker engine and build the image of SWE tasks' containers (needs root where no engine runs)
	@docker/engine.sh && docker/swe-base/build.sh

servers: $(VENV)/.ready ## start Weaviate, Prefect, MLflow and vLLM here, each from what the machine has, and print their addresses
	@$(BIN)/python -m flows.local start

servers-stop: ## stop the servers that `make servers` or `make prefect` started
	@$(BIN)/python -m flows.local stop

doctor: $(VENV)/.ready ## check what a run with params.yaml needs: machine, servers, models, data
	@$(BIN)/crl doctor

prefect: $(VENV)/.ready ## start the Prefect server of `make run` alone, and print its address
	@$(BIN)/python -m flows.local start prefect

clean: ## stop the servers, remove run state and generated outputs (not the environment)
	@! test -x $(BIN)/python || $(BIN)/python -m flows.local stop
	rm -rf runs metrics plots reports models bank data/tasks data/mix data/docs data/entries.json data/pass_rate.parquet records mlruns mlflow.db mlflow.db.lock .prefect .servers/weaviate .servers/mlflow .servers/models
