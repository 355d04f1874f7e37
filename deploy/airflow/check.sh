#!/usr/bin/env bash
# Whether an Airflow has loaded every DAG that deploy/airflow/graphs lists, none of them broken, without import errors.
# Asks again until it has, or fails and says what is wrong.
#
#   deploy/airflow/check.sh [COMPOSER_ENVIRONMENT LOCATION]
#
# Without arguments it asks the `airflow` of this machine. Variables: ADELT_CHECK_TRIES (20), ADELT_CHECK_PAUSE (15 s).
set -euo pipefail
environment=${1:-} location=${2:-}
if [ $# -gt 2 ] || { [ $# -gt 0 ] && ! [[ $environment =~ ^[a-z][a-z0-9-]*$ && $location =~ ^[a-z]+-[a-z]+[0-9]+$ ]]; }; then
  sed -n '5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/../.."
bin=${ADELT_BIN:-.venv/bin}
asked=$(mktemp -d)
trap 'rm -rf "$asked"' EXIT

ask() { # FILE COMMAND SUBCOMMAND OPTION...
  if [ -n "$environment" ]; then
    gcloud composer environments run "$environment" --location "$location" "$2" "$3" -- "${@:4}" >"$asked/$1" 2>"$asked/said"
  else
    airflow "${@:2}" >"$asked/$1" 2>"$asked/said"
  fi || [ "$1" = errors ] || { cat "$asked/said" >&2; return 1; } # import errors are a failure of the command too
}

echo "Airflow has not answered" >"$asked/verdict"
for try in $(seq "${ADELT_CHECK_TRIES:-20}"); do
  [ "$try" = 1 ] || sleep "${ADELT_CHECK_PAUSE:-15}"
  ask listed dags list --columns dag_id,tags --output json || continue
  ask errors dags list-import-errors --output json
  if "$bin/python" deploy/airflow/loaded.py "$asked/listed" "$asked/errors" deploy/airflow/graphs >"$asked/verdict"; then
    cat "$asked/verdict"
    exit 0
  fi
done
cat "$asked/verdict" >&2
exit 1
