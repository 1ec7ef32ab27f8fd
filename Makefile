# Each target sets up what it needs. State lives in var/ (or SLIPWAY_HOME).
PYTHON ?= python3
BIN := .venv/bin
# Options for pytest, for example: make test ARGS="-k logs -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run demo demo-remove test faults security audit sbom bench check lint types format assets requirements

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

setup: ## Make the clone ready for development: packages, assets
	@$(PYTHON) -m scripts.setup --dev --redis

run: ## Run Slipway; prints where it is
	@$(PYTHON) -m scripts.setup --redis --engine
	@exec $(BIN)/python manage.py up

demo: ## Fill the engine with small images and containers in varied states, to look around
	@$(PYTHON) -m scripts.setup --redis --engine
	@exec $(BIN)/python manage.py demo

demo-remove: ## Take the samples away again
	@exec $(BIN)/python manage.py demo --remove

test: ## All checks, then all tests, on an engine of their own
	@exec $(PYTHON) -m scripts.checks test $(ARGS)

faults: ## Kill, stop, lose and empty everything under operations, the long tests too: minutes
	@exec $(PYTHON) -m scripts.checks faults $(ARGS)

security: ## Attacks on REST, tokens and guard rails, with many more tries than make test has: minutes
	@exec $(PYTHON) -m scripts.checks security $(ARGS)

audit: ## Known weaknesses of what Slipway is made of, credentials in the history, the list of parts
	@exec $(PYTHON) -m scripts.audit

sbom: ## The list of what Slipway is made of, in CycloneDX, into var/sbom/
	@exec $(PYTHON) -m scripts.audit sbom

bench: ## How fast it is, against the raw engine in the same run: minutes, and a table at the end
	@exec $(PYTHON) -m scripts.checks bench $(ARGS)

check: ## All checks without the tests
	@exec $(PYTHON) -m scripts.checks check

lint: ## Style, templates, spelling, layers
	@exec $(PYTHON) -m scripts.checks lint

types: ## mypy
	@exec $(PYTHON) -m scripts.checks types

format: ## Bring the code into its form
	@$(PYTHON) -m scripts.setup --dev
	@$(BIN)/ruff check --fix-only --quiet && $(BIN)/ruff format --quiet

assets: ## Build the pages' styles, scripts and icons
	@$(PYTHON) -m scripts.setup

requirements: ## Pin anew what requirements*.in ask for
	@$(PYTHON) -m scripts.setup --dev
	@for list in requirements requirements-dev requirements-node requirements-audit; do \
		$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
			--no-emit-index-url --no-emit-find-links --output-file $$list.txt $$list.in || exit 1; done
