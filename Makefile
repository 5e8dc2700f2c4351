# The commands of a day's work; `make` lists them. Everything is installed into .venv, nothing outside of it.

# The first Python that is new enough; `make install PYTHON=/path/to/python3.13` takes another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
# More arguments for the demo or pytest: `make demo ARGS=--keep`, `make test ARGS="-k sweep"`.
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-input
# The requirements of checks and tests: the tools, and the extras that few users install.
CHECKED := dev docs deploy openlineage otel spark
SELECTS := $(wildcard src/tidemark/models/*/dimension src/tidemark/models/*/fact)
# Figures of the dashboard, whose parameters sqlfluff knows from src/tidemark/models/.sqlfluff.
FIGURES := $(wildcard src/tidemark/models/*/dashboard)
WAREHOUSES := $(wildcard src/tidemark/models/*/warehouse.sql)
# sqlfluff knows neither DuckDB's COPY nor its macros.
DUCKDB_SQL := $(filter-out %/copy.sql, $(wildcard src/tidemark/sql/duckdb/*.sql))
POSTGRES_SQL := $(wildcard src/tidemark/sql/*.sql)
SQLFLUFF := $(BIN)/sqlfluff lint --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(VENV)/.package ## set up .venv with all that tidemark needs, and .venv/bin/tidemark
	@echo "tidemark is installed: $(BIN)/tidemark --help"

.PHONY: demo
demo: $(VENV)/.package ## the whole pipeline on this machine, with a database of its own (ARGS=--keep)
	@$(BIN)/tidemark demo $(ARGS)

.PHONY: check
check: lint unit ## what to run before each commit: format, lint, types, SQL, security, unit tests

.PHONY: test
test: lint ## everything that CI runs: `make lint` and all tests (ARGS="-k sweep")
	@echo "running all tests"
	@$(BIN)/python -m compileall -q src tests/support
	@# Three on two cores: a test that waits for a browser or a server leaves its core to another. And each pytest would
	@# compile its plugins anew.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses=3 $(ARGS)

.PHONY: exhaustive
exhaustive: $(VENV)/.dev $(VENV)/.package .venv-peer-spark/.made .venv-peer-spark35/.made ## tests that repeat in other forms what `make test` proves (ARGS="-k kill")
	@$(BIN)/pytest -m exhaustive --numprocesses=2 $(ARGS)

.PHONY: unit
unit: $(VENV)/.dev $(VENV)/.package ## the unit tests alone
	@echo "running the unit tests"
	@$(BIN)/pytest tests/unit $(ARGS)

.PHONY: types
types: $(VENV)/.dev $(VENV)/.package ## write the tables of docs/types.md out of what their tests see
	@$(BIN)/pytest --quiet --write-docs tests/acceptance/test_every_type.py tests/acceptance/test_histories_of_peers.py $(ARGS)

.PHONY: reference
reference: $(VENV)/.dev $(VENV)/.package ## write the pages of commands, errors, decisions and the warehouse's columns out of the code
	@$(BIN)/pytest --quiet --write-docs tests/unit/test_written_pages.py tests/integration/test_columns_page.py $(ARGS)

.PHONY: docs
docs: $(VENV)/.dev ## build the documentation as a site, in site; a link that leads nowhere fails it
	@$(BIN)/zensical build --strict --clean
	@echo "open site/index.html"

.PHONY: pythons
pythons: ## the unit tests on each Python from 3.11 to 3.14 that is here, each in a venv of its own (ARGS=tests/models)
	@for version in 3.11 3.12 3.13 3.14; do \
		for python in "python$$version" "$${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version".*/bin/python none; do \
			"$$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" 2>/dev/null && break; done; \
		if [ "$$python" = none ]; then echo "there is no Python $$version here"; continue; fi; \
		echo "Python $$version"; \
		$(MAKE) VENV=".venv-$$version" PYTHON="$$python" unit || exit 1; \
	done

.PHONY: coverage
coverage: $(VENV)/.dev $(VENV)/.package ## how much of the code all tests reach, in subprocesses too; fails below 92 % (ARGS=tests/unit)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --numprocesses=2 $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: hooks
hooks: $(VENV)/.dev ## have git run `make check` before each commit (.pre-commit-config.yaml)
	@$(BIN)/pre-commit install

.PHONY: lint
lint: $(VENV)/.dev $(VENV)/.package ## format, lint, types, SQL and security, without any test
	@echo "checking format, lint, types, SQL and security"
	@$(MAKE) --jobs=2 --output-sync=target lint-code lint-sql

.PHONY: lint-code
lint-code:
	@$(BIN)/ruff format --quiet --diff .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src infra bench

.PHONY: lint-sql
lint-sql:
ifneq ($(SELECTS),)
	@$(SQLFLUFF) --dialect duckdb $(SELECTS)
endif
ifneq ($(WAREHOUSES),)
	@$(SQLFLUFF) --dialect postgres $(WAREHOUSES)
endif
	@$(SQLFLUFF) --dialect duckdb --templater placeholder $(DUCKDB_SQL)
	@$(SQLFLUFF) --dialect postgres --templater placeholder $(POSTGRES_SQL) $(FIGURES)

.PHONY: format
format: $(VENV)/.dev ## put code and SQL into the project's format
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .
ifneq ($(SELECTS),)
	@$(BIN)/sqlfluff fix --quiet --dialect duckdb $(SELECTS)
endif

.PHONY: bench
bench: $(VENV)/.package ## measure a full load and an increment at 100 times the real size (bench/README.md; ARGS=--peers)
	@$(BIN)/python bench/run.py $(ARGS)

.PHONY: chaos
chaos: $(VENV)/.dev $(VENV)/.package ## kill 100 runs at random moments, start 400 in pairs, then compare all rows (ARGS="--kills 1000")
	@$(BIN)/python bench/chaos.py $(ARGS)

.PHONY: package
package: $(VENV)/.made ## the zips of the Lambda functions in dist (RUNTIME=, ARCHITECTURE=, MODEL=, SSLROOTCERT=, JOB=1)
	@$(BIN)/python infra/package.py $(if $(RUNTIME),--runtime "$(RUNTIME)") \
		$(if $(ARCHITECTURE),--architecture "$(ARCHITECTURE)") \
		$(if $(MODEL),--model "$(MODEL)") $(if $(SSLROOTCERT),--sslrootcert "$(SSLROOTCERT)") $(if $(JOB),--job)

.PHONY: release
release: $(VENV)/.package ## the sdist and the wheel in dist, and a small demo out of the wheel alone
	@rm -rf build dist/tidemark-* dist/wheel
	@$(BIN)/python -c "from setuptools import build_meta; build_meta.build_sdist('dist')" >/dev/null
	@$(PIP) wheel --no-build-isolation --no-deps --no-index --wheel-dir dist .
	@$(PIP) install --no-deps --no-index --target dist/wheel dist/tidemark-*.whl
	@cd dist/wheel && PYTHONPATH="$$PWD" "$(abspath $(BIN)/python)" -m tidemark demo --reset --scale 0.05 --batches 1 >/dev/null
	@rm -rf dist/wheel && ls dist/tidemark-*

.PHONY: lock
lock: .venv-lock/.made ## renew the pinned requirements/*.txt from the .in files
	@for name in build runtime dashboard ingest transform load dev docs deploy openlineage otel spark job peer-dlt peer-ingestr peer-spark peer-spark35; do \
		echo "resolving requirements/$$name.in" && \
		.venv-lock/bin/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header \
			--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
			--output-file requirements/$$name.txt requirements/$$name.in || exit 1; \
	done

.PHONY: audit
audit: .venv-audit/.made ## ask for known holes of every pinned library (needs the internet)
	@for name in build runtime dashboard ingest transform load dev docs deploy openlineage otel spark job; do \
		echo "requirements/$$name.txt" && \
		.venv-audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes -r requirements/$$name.txt || exit 1; \
	done

.PHONY: clean
clean: ## remove what these commands made; .tidemark, which may hold your change log, stays
	@rm -rf .venv .venv-* build dist site .cache src/*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.*
	@find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

# A stamp is made when its step is through: an interrupted step is done again, a finished one is not.

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "tidemark needs Python 3.11 or newer and found none; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tidemark needs Python 3.11 or newer; $(PYTHON) is not" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) lacks venv; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: requirements/runtime.txt requirements/dashboard.txt requirements/build.txt $(VENV)/.made
	@echo "installing the libraries (130 MB, once)"
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt -r requirements/dashboard.txt
	@touch $@

$(VENV)/.dev: $(CHECKED:%=requirements/%.txt) $(VENV)/.runtime
	@echo "installing the tools for checks and tests (300 MB, once)"
	@# Of pyspark-client there is no wheel: setuptools, which is there by now, builds one.
	@$(PIP) install --no-build-isolation --require-hashes -r requirements/runtime.txt -r requirements/dashboard.txt \
		$(CHECKED:%=-r requirements/%.txt)
	@touch $@

$(VENV)/.package: pyproject.toml src/tidemark/__init__.py $(VENV)/.runtime
	@echo "installing tidemark itself"
	@$(PIP) install --no-build-isolation --no-deps --no-index --editable .
	@$(BIN)/python -m compileall -q src # where Python may write no bytecode, each command would do this anew
	@touch $@

.venv-lock/.made: $(VENV)/.made
	@$(VENV)/bin/python -m venv --clear .venv-lock
	@.venv-lock/bin/python -m pip --quiet --disable-pip-version-check install pip-tools
	@touch $@

.venv-peer-%/.made: requirements/peer-%.txt requirements/build.txt $(VENV)/.made
	@echo "installing Spark for the exhaustive tests (400 MB, once)"
	@$(VENV)/bin/python -m venv --clear .venv-peer-$*
	@.venv-peer-$*/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/build.txt
	@.venv-peer-$*/bin/python -m pip --quiet --disable-pip-version-check install --no-build-isolation --require-hashes \
		-r requirements/peer-$*.txt
	@touch $@

.venv-audit/.made: $(VENV)/.made
	@$(VENV)/bin/python -m venv --clear .venv-audit
	@.venv-audit/bin/python -m pip --quiet --disable-pip-version-check install pip-audit
	@touch $@
