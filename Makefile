# Everything happens in .venv; the first target that needs it makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed
# of `make test`: more than there are cores, since many tests wait for servers; each process has servers of its own
PROCESSES ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? 3 * cores : 8)))
# of any target: where the environment forbids to keep compiled modules, each of a thousand processes would compile ours
export PYTHONDONTWRITEBYTECODE :=
# of `make soak`: what draws random inputs and takes long
SOAKED := $(addprefix tests/,unit/ledger/test_simulation.py unit/ledger/test_properties.py alerts/test_expressions.py \
	alerts/test_discord_template.py alerts/test_gaps.py alerts/test_mutations.py alerts/test_promtool.py \
	database/test_any_content.py database/test_column_types.py database/test_changes.py e2e/test_memory.py)
# flags for the dashboards, such as --budget-time-zone Europe/Berlin
DASHBOARDS ?=

.PHONY: help demo test soak check lint types generated docs format build bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# what is never imported, which is most of it, need not be compiled
$(STAMP): pyproject.toml constraints.txt constraints-digest.txt constraints-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --require-hashes --requirement constraints-dev.txt
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DOCS_STAMP): $(STAMP) constraints-docs.txt
	$(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --require-hashes --requirement constraints-docs.txt
	@touch $@

demo: $(STAMP) ## an embedded PostgreSQL with thirty days of history, live traffic, and the exporter on it
	$(BIN)/ai-operation-exporter demo $(ARGS)

# ARGS: some of the tests, as pytest takes them; in one process, and their coverage is not judged
ifdef ARGS
test: $(STAMP)
	$(BIN)/pytest $(ARGS)
else
test: $(STAMP) ## all tests, in several processes; with Docker also those against PostgreSQL 17, pgbouncer and Prometheus
	$(BIN)/coverage erase
	$(BIN)/pytest --numprocesses=$(PROCESSES) --dist=loadgroup --cov --cov-report=
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --include='exporter/ledger/*' --fail-under=100
endif

soak: $(STAMP) ## a quarter of a year of calls and faults, many random inputs, each case on each layout: about an hour
	SIMULATED_DAYS=92 SIMULATED_SEEDS='1 2' THOROUGH=10 $(BIN)/pytest -q $(SOAKED)
	EVERY_LAYOUT=1 $(BIN)/pytest -q --numprocesses=$(PROCESSES) --dist=loadgroup tests/alerts tests/dashboards tests/database

# with --jobs=2 in half the time
check: lint types generated docs ## lint, formatting, types, imports, SQL that could be hijacked, and whether what is generated is up to date

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python -m tests.hijack

types: $(STAMP)
	$(BIN)/mypy

generated: $(STAMP)
	$(BIN)/ai-operation-exporter rules build --check
	$(BIN)/ai-operation-exporter dashboards build --check $(DASHBOARDS)
	$(BIN)/ai-operation-exporter sql build --check
	$(BIN)/ai-operation-exporter sql build --source litellm --output deploy/sql/litellm --check
	$(BIN)/python -m deploy.kubernetes.build --check
	$(BIN)/python -m tests.statements --check
	$(BIN)/python -m docs.reference --check

docs: $(DOCS_STAMP) ## the documentation as a site, in build/site; fails if a link leads nowhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(STAMP) ## put the code into the house format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

build: $(STAMP) ## write the generated files: rules, routing, dashboards, manifests, references
	$(BIN)/ai-operation-exporter rules build
	$(BIN)/ai-operation-exporter dashboards build $(DASHBOARDS)
	$(BIN)/ai-operation-exporter sql build
	$(BIN)/ai-operation-exporter sql build --source litellm --output deploy/sql/litellm
	$(BIN)/python -m deploy.kubernetes.build
	$(BIN)/python -m tests.statements
	$(BIN)/python -m docs.reference

bench: $(STAMP) ## what a scrape costs, beside the alternatives; with ARGS=--full the tables of docs/performance.md
	$(BIN)/python -m bench $(ARGS)

clean: ## remove what the targets above made
	rm -rf $(VENV) .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
