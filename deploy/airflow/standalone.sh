#!/usr/bin/env bash
# Airflow on this machine alone, with the DAGs of deploy/airflow/dags, against the sandbox: what `make airflow` starts.
# Everything it keeps is below .airflow/; Ctrl-C ends Airflow and the sandbox.
#
#   AIRFLOW_PORT=8080 AIRFLOW_VENV=.airflow/venv ADELT_SANDBOX_NOW=2026-01-29T06:00:00Z deploy/airflow/standalone.sh [AIRFLOW COMMAND...]
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD keep=$PWD/.airflow bin=$PWD/.venv/bin
mkdir -p "$keep/home"

export AIRFLOW_HOME=$keep/home
export AIRFLOW__CORE__DAGS_FOLDER=$root/deploy/airflow/dags
export AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True # no log-in: it listens on this machine only
export AIRFLOW__API__HOST=127.0.0.1
export AIRFLOW__API__PORT=${AIRFLOW_PORT:-8080}
export AIRFLOW__API__BASE_URL=http://127.0.0.1:$AIRFLOW__API__PORT
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL=$AIRFLOW__API__BASE_URL/execution/
export AIRFLOW__CORE__PARALLELISM=${AIRFLOW__CORE__PARALLELISM:-4}
export ADELT_PROJECT=$root ADELT_COMMAND=$bin/adelt
export ADELT_HOME=${ADELT_HOME:-$keep/adelt}
export AIRFLOW__COSMOS__ENABLE_TELEMETRY=${AIRFLOW__COSMOS__ENABLE_TELEMETRY:-False}
export PATH=${AIRFLOW_VENV:-$keep/venv}/bin:$PATH
unset PYTHONDONTWRITEBYTECODE

if [ -z "${ADELT_GOOGLE_ENDPOINT:-}" ]; then
  said=$keep/sandbox.txt
  : >"$said"
  "$bin/adelt" sandbox --port 0 --state "$keep/sandbox" --now "${ADELT_SANDBOX_NOW:-2026-01-29T06:00:00Z}" >"$said" &
  sandbox=$!
  trap 'kill "$sandbox" 2>/dev/null || true' EXIT
  for _ in $(seq 100); do
    grep -q '^export GOOGLE_APPLICATION_CREDENTIALS=' "$said" && break
    kill -0 "$sandbox" || exit 1
    sleep 0.1
  done
  eval "$(grep '^export ' "$said")"
  export ADELT_POLL_MIN=0.1 ADELT_POLL_MAX=1
fi

[ ! -f deploy/airflow/config.yml ] || "$bin/python" deploy/airflow/nodes.py
airflow db migrate >"$keep/migrate.log" 2>&1 || { tail -20 "$keep/migrate.log" >&2; exit 1; }
airflow pools import deploy/airflow/pools.json >/dev/null
if [ $# -gt 0 ]; then
  "$@"
else
  echo "Airflow: $AIRFLOW__API__BASE_URL   sandbox: $ADELT_GOOGLE_ENDPOINT   (a minute to start; Ctrl-C ends both)"
  airflow standalone
fi
