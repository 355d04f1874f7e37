#!/usr/bin/env bash
# Puts into a new folder all that Airflow must see to load the DAGs: they, the definitions, the settings, and the code that
# reads them. A DAG processor is sure to see the folder of DAGs alone.
#
#   deploy/airflow/bundle.sh FOLDER
set -euo pipefail
to=${1:?deploy/airflow/bundle.sh FOLDER}
mkdir -p "$to/project/python" "$to/project/deploy/airflow"
to=$(cd "$to" && pwd)
cd "$(dirname "$0")/../.."
cp -R deploy/airflow/dags/. "$to"
cp -R pipelines "$to/project"
cp -R python/adelt "$to/project/python"
if [ -f deploy/airflow/config.yml ]; then
  cp deploy/airflow/config.yml "$to/project/deploy/airflow"
  "${ADELT_BIN:-.venv/bin}/python" deploy/airflow/nodes.py "$to/project" # models of the tasks that Cosmos does, if any
fi
