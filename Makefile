# Everything a person or CI types. `make demo` and `make test` work on a machine that has Python 3.11, pip, make and git.
.PHONY: help setup demo test check format generate bench docs airflow airflow-versions airflow-week backfill-story airflow-cosmos clean
SHELL := bash
BIN := .venv/bin
SETUP := .venv/.ready
AIRFLOW := .airflow/.ready
# A file stays on one worker, and files go in order: the longest stories come first
JOBS := 2

help:      ## show this
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

setup: $(SETUP)  ## install everything into .venv (uv comes from PyPI)

$(SETUP): pyproject.toml uv.lock
	@test -x .venv/bin/uv || (python3 -m venv .venv && $(BIN)/pip install --quiet --disable-pip-version-check uv)
	@VIRTUAL_ENV=.venv $(BIN)/uv sync --quiet --frozen --inexact --compile-bytecode
	@# Where Python may not write bytecode, every short process would compile adelt anew.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q python dlt
	@touch $@

# Airflow pins what adelt pins too, so it has an environment of its own.
$(AIRFLOW): deploy/airflow/requirements.txt | $(SETUP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .airflow/venv
	@VIRTUAL_ENV=.airflow/venv $(BIN)/uv pip sync --quiet deploy/airflow/requirements.txt
	@touch $@

.airflow/venv-%/.ready: deploy/airflow/requirements-%.txt | $(SETUP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	@VIRTUAL_ENV=$(@D) $(BIN)/uv pip sync --quiet $<
	@touch $@

airflow: setup $(AIRFLOW)  ## Airflow on localhost:8080 with the DAGs, against the sandbox; Ctrl-C ends both
	@deploy/airflow/standalone.sh

airflow-versions: setup  ## the DAGs on Airflow 2.11, 3.1 and 3.2 too (two minutes; `make test` has 3.3)
	@$(BIN)/python -m pytest -m airflow_versions tests/integration

airflow-week: setup  ## seven days of daily through Airflow, and locally: the same warehouse (six minutes)
	@$(BIN)/python -m pytest -m airflow_week tests/integration

airflow-cosmos: setup  ## dbt model by model with Cosmos: the same marts (ten minutes)
	@$(BIN)/python -m pytest -m airflow_cosmos tests/integration

backfill-story: setup  ## sixty days of all sources, killed five times, resumed: equal to the oracle (four minutes)
	@$(BIN)/python -m pytest -s -m backfill_story tests/e2e

demo: setup  ## the main job: sandbox -> sources -> DuckDB -> dbt, then where to look
	@$(BIN)/adelt demo

test: setup  ## all tests
	@# The story of seven days by itself: it keeps two cores busy, and beside it others would wait for longer than they may.
	@$(BIN)/python -m pytest tests/e2e
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore tests/e2e

check: setup  ## linters, types, boundaries, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint dbt/models dbt/snapshots dbt/tests
	@$(BIN)/adelt generate --check
	@$(BIN)/adelt export --check

format: setup  ## format Python and SQL
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

generate: setup  ## write what is generated from the declarations (dbt sources, JSON schema, reference, exports)
	@$(BIN)/adelt generate
	@$(BIN)/adelt export

bench: setup  ## measure speed and memory, side by side with DuckDB alone (minutes; needs 6 GB of disk)
	@$(BIN)/python -m benchmarks

docs: setup  ## dbt's documentation site in dbt/target
	@$(BIN)/dbt docs generate --project-dir dbt --profiles-dir dbt

clean:     ## remove what was built, keep data
	@rm -rf .venv .airflow/venv* $(AIRFLOW) .pytest_cache .mypy_cache .ruff_cache dbt/target dbt/logs
