# Every task of the project; `make help` lists them. Needs only make and Python >= 3.11.
# The first use of serve, test, check or bench creates .venv (pinned, hash-checked); later uses skip that.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

HOST ?= 127.0.0.1
PORT ?= 8080
export HOST PORT

# The newest of the usual names that is at least 3.11; override with `make PYTHON=/path/to/python3 ...`.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; \
	done)

BIN := .venv/bin
STAMP := .venv/.installed
BROWSER_STAMP := .venv/.browser
FUZZ_STAMP := .venv/.fuzz
CROSSCHECK := tests/crosscheck
CROSSCHECK_STAMP := $(CROSSCHECK)/node_modules/.installed
# Patients of `make crosscheck`; those that stand at a threshold are made in any case. SEED is for all that is drawn.
PATIENTS ?= 10000
SEED ?= 20261122
FHIR_PORT ?= 8181
CORE := cds_service/clinical/*,cds_service/knowledge/*,cds_service/protocol/*
# Two workers halve the time on two cores; `make test PYTEST_WORKERS=0` runs in one process.
PYTEST_WORKERS ?= 2

.PHONY: help install serve test test-zone crosscheck validate-fhir integration integration-table store-postgresql browser fuzz mutate sample-fhir check format bench bench-check load load-smoke image wheel sbom lock docs clean

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  %-17s %s\n' "$$name" "$$text"; done

$(STAMP): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (set PYTHON=...)" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv || { echo "The venv module is needed (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

install: $(STAMP) ## Create .venv with everything that the other targets need

serve: $(STAMP) ## Run the service in its development profile (HOST, PORT, RLS_CDS_* from the environment)
	exec $(BIN)/rls-cds serve

test: $(STAMP) ## Run all tests with the coverage gates
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup --cov --cov-report= 2>&1 | tee .pytest-summary
	@$(BIN)/python -m coverage report --fail-under=95 | tail -n 12
	@$(BIN)/python -m coverage report --include='$(CORE)' --fail-under=100 | tail -n 6

test-zone: $(STAMP) ## Run the tests again, without coverage, as if the machine stood in TZ
	$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadgroup -m 'not packaging and not integration and not browser and not postgresql'

$(CROSSCHECK_STAMP): $(CROSSCHECK)/package-lock.json
	cd $(CROSSCHECK) && npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=2 --fetch-timeout=60000
	@touch $@

crosscheck: $(STAMP) $(CROSSCHECK_STAMP) ## Compare the cards with a second implementation of the rules, in CQL (needs Node 20 and npm)
	$(BIN)/python -m tests.published.conditions
	$(BIN)/python -m tests.crosscheck.run --patients $(PATIENTS) --seed $(SEED)

validate-fhir: $(STAMP) ## Validate the published FHIR resources with HAPI's validator (needs Java 17 and Maven)
	$(BIN)/python -m tests.published.validate

integration: $(STAMP) ## Run the tests against a real FHIR server (needs Java 17 and Maven)
	$(BIN)/python -m pytest -q -m integration tests/integration

integration-table: $(STAMP) ## The same, and write docs/fixture-routes.md anew
	WRITE_ROUTES=1 $(BIN)/python -m pytest -q -m integration tests/integration

store-postgresql: $(STAMP) ## Test the store of used tokens on a PostgreSQL server of its own (needs initdb and postgres; POSTGRES=folder)
	$(BIN)/python -m pytest -q -n 0 -m postgresql tests/postgresql

$(BROWSER_STAMP): requirements/browser.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/browser.txt
	@touch $@

browser: $(BROWSER_STAMP) ## Run the tests that drive Chromium from another origin (CHROMIUM=/path names it)
	$(BIN)/python -m pytest -q -m browser tests/browser

$(FUZZ_STAMP): requirements/fuzz.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	@touch $@

# Seconds for each of the three fuzzers; what they find stands in fuzz-findings/.
FUZZ_SECONDS ?= 60

fuzz: $(FUZZ_STAMP) ## Fuzz the addresses and the JSON and FHIR doors (FUZZ_SECONDS, 60 each; Linux on x86-64)
	PYTHONPATH=scripts $(BIN)/python -m tests.fuzz.addresses --seconds $(FUZZ_SECONDS) --seed $(SEED)
	$(BIN)/python -m tests.fuzz.doors json --seconds $(FUZZ_SECONDS) --seed $(SEED)
	$(BIN)/python -m tests.fuzz.doors fhir --seconds $(FUZZ_SECONDS) --seed $(SEED)
	@echo "nothing found: addresses, JSON door, FHIR door; $(FUZZ_SECONDS) seconds each"

# Mutants drawn, and minutes after which no other is begun; another SEED draws others.
SAMPLE ?= 500
MINUTES ?= 50

mutate: $(STAMP) ## Measure the tests of the core with a sample of mutants (SAMPLE, SEED, MINUTES); docs/mutation.md
	$(BIN)/python scripts/mutate.py --sample $(SAMPLE) --seed $(SEED) --minutes $(MINUTES)

sample-fhir: $(STAMP) ## Serve the sample patients as an open FHIR server, R4 and DSTU2 (FHIR_PORT, 8181)
	exec $(BIN)/python -m tests.browser.fhir_stub --port $(FHIR_PORT)

check: $(STAMP) ## Formatting, lint, types, import contracts, knowledge and document checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_source.py
	$(BIN)/rls-cds knowledge lint
	$(BIN)/python scripts/docs.py --check

format: $(STAMP) ## Format the code and apply the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Write the generated parts of docs/ anew
	$(BIN)/python scripts/docs.py

bench: $(STAMP) ## Print the performance table side by side with its yardsticks
	$(BIN)/python bench/run.py

bench-check: $(STAMP) ## Fail when a CPU or memory ratio is beyond its bar times 1.5
	$(BIN)/python bench/run.py --check

# Calls a second, and for how many seconds each of the three is loaded.
RATE ?= 50
SECONDS_EACH ?= 60

load: $(STAMP) ## Load two workers beside a Flask echo; fail on an error or a p99 of 3 times the echo's (RATE, SECONDS_EACH)
	$(BIN)/python bench/load.py --rate $(RATE) --seconds $(SECONDS_EACH)

load-smoke: $(STAMP) ## The same for ten seconds each; only an error fails it
	$(BIN)/python bench/load.py --rate $(RATE) --seconds 10 --errors-only

image: ## Build the container image, start it and fire a sample request at it (docker or buildah)
	scripts/image.sh

# The time inside the archive: that of the last commit, so that whoever builds this commit gets the same bytes.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1580601600)

wheel: $(STAMP) ## Build dist/*.whl; the same sources give the same bytes (SOURCE_DATE_EPOCH)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(BIN)/python -m hatchling build -t wheel
	@sha256sum dist/*.whl

sbom: ## Write dist/sbom.cdx.json: what an installation of the runtime holds (CycloneDX; needs a package index)
	PYTHON="$(PYTHON)" SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) scripts/sbom.sh

lock: ## Write requirements/*.txt anew (needs uv)
	scripts/lock.sh

clean: ## Remove what the targets created, .venv included
	rm -rf .venv dist .coverage .coverage.* .pytest-summary .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis fuzz-findings \
		tests/integration/hapi/build $(CROSSCHECK)/node_modules
