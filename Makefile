# Targets, with what they do: `make help`. Needs Python 3.11+, a package index and nothing else.

# The Python to use, for example `make test PYTHON=python3.13`: it then has an environment of its own (.venv-3.13).
PYTHON ?=
# Passed on to the program that a target starts, for example `make test ARGS="tests/storage -x"`.
ARGS ?=

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

ifeq ($(PYTHON),)
VENV := .venv
else
INTERPRETER := $(shell .ci/find-python $(PYTHON))
ifeq ($(INTERPRETER),)
$(error no environment without a Python)
endif
VENV := .venv-$(shell $(INTERPRETER) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
PINNED := --require-hashes --only-binary :all:
COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

# One more than there are processors, as tests often wait, and at most four.
WORKERS = $$($(BIN)/python -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))')

PROTO := jaeger/api_v2/sampling
GENERATED := sampling/pb/$(PROTO)_pb2.py sampling/pb/$(PROTO)_pb2.pyi
# The virtual path makes imports land in our package; what is on the wire keeps the names of the .proto.
PROTOC = PATH="$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Isampling/pb=proto sampling/pb/$(PROTO).proto

.PHONY: help setup run test test-deployment test-integrations test-operations check format proto pins bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.13 uses another Python, in an environment of its own; ARGS=\"...\" is passed on."

setup: $(VENV)/.stamp-project ## Prepare .venv with the command tracing-config in it
	@echo "$(BIN)/tracing-config is ready."

run: $(VENV)/.stamp-project ## Start the server (ARGS: options of `tracing-config serve`)
	@exec $(BIN)/tracing-config serve $(ARGS)

test: $(VENV)/.stamp-project $(VENV)/.stamp-dev ## Run the tests (ARGS: options of pytest, like "-n 0 -x tests/storage")
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --ignore tests/deployment --ignore tests/integrations --ignore tests/operations $(ARGS)

test-deployment: $(VENV)/.stamp-project $(VENV)/.stamp-dev ## Run the tests that take minutes: the image's build steps, rolling updates, ...
	@$(BIN)/python -m pytest -n 0 tests/deployment $(ARGS)

test-integrations: $(VENV)/.stamp-project $(VENV)/.stamp-dev ## Run the tests against real servers and SDKs in Java (JAEGER_BIN, CONSUL_BIN: real ones to run against)
	@$(BIN)/python -m pytest -n 0 tests/integrations $(ARGS)

test-operations: $(VENV)/.stamp-project $(VENV)/.stamp-dev ## Run the alerts and every command of the operations guide (needs promtool, psql, redis-cli, openssl)
	@$(BIN)/python -m pytest -n 0 tests/operations $(ARGS)

check: $(VENV)/.stamp-project $(VENV)/.stamp-dev ## Lint, types, allowed imports, Dockerfile, generated code is fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(PROTOC) --python_out="$$fresh" --mypy_out=quiet:"$$fresh" \
	&& for file in $(GENERATED); do \
		cmp "$$fresh/$$file" "$$file" || { echo "$$file is stale: run 'make proto' and commit it" >&2; exit 1; }; \
	done && echo "Generated code is fresh."

format: $(VENV)/.stamp-dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(VENV)/.stamp-dev ## Generate the messages under sampling/pb from proto/
	$(PROTOC) --python_out=. --mypy_out=quiet:.

pins: ## Write requirements/*.txt from the ranges in pyproject.toml (ARGS=--upgrade for newer versions)
	@echo "Resolving the ranges of pyproject.toml ..."
	@tool=$$(mktemp -d) && trap 'rm -rf "$$tool"' EXIT \
	&& $$(.ci/find-python $(PYTHON)) -m venv "$$tool" && "$$tool/bin/pip" --disable-pip-version-check install --quiet 'uv>=0.9,<1' \
	&& PATH="$$tool/bin:$$PATH" \
	&& $(COMPILE) $(ARGS) pyproject.toml --output-file requirements/runtime.txt \
	&& $(COMPILE) $(ARGS) --group build --output-file requirements/build.txt \
	&& $(COMPILE) $(ARGS) pyproject.toml --extra s3 --constraint requirements/runtime.txt --output-file requirements/s3.txt \
	&& $(COMPILE) $(ARGS) pyproject.toml --extra s3 --group dev --constraint requirements/s3.txt --output-file requirements/dev.txt
	@echo "requirements/runtime.txt, s3.txt, build.txt and dev.txt are up to date."

bench: $(VENV)/.stamp-project $(VENV)/.stamp-dev ## Measure the server beside what it compares with (needs h2load)
	@$(BIN)/python -m bench $(ARGS)

clean: ## Remove every environment, cache and built file; data in var/ stays
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made anew when its pins change, so nothing that left them lingers; its stamps go with it.
$(VENV)/.stamp-runtime: requirements/runtime.txt requirements/build.txt
	@python=$(if $(INTERPRETER),$(INTERPRETER),$$(.ci/find-python)) && echo "Preparing $(VENV) ($$($$python --version)) ..." \
	&& $$python -m venv --clear $(VENV)
	@echo "Installing the packages the server needs ..."
	@$(PIP) $(PINNED) -r requirements/build.txt -r requirements/runtime.txt
	@touch $@

$(VENV)/.stamp-project: pyproject.toml $(VENV)/.stamp-runtime
	@echo "Installing the command tracing-config ..."
	@$(PIP) --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.stamp-dev: requirements/dev.txt $(VENV)/.stamp-runtime
	@echo "Installing the packages the tests and checks need ..."
	@$(PIP) $(PINNED) -r requirements/dev.txt
	@touch $@
