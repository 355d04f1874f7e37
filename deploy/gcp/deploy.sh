#!/usr/bin/env bash
# Brings pipelines, models and DAGs into the bucket of a Composer environment, and keeps the manifest that pull requests
# are compared with: what .github/workflows/deploy-composer.yml runs.
#
#   deploy/gcp/deploy.sh TARGET COMPOSER_BUCKET [COMPOSER_ENVIRONMENT LOCATION]
#
# With an environment it also brings the pools, and waits until Airflow has loaded every DAG (deploy/airflow/check.sh).
set -euo pipefail

target=${1:-} composer=${2:-} environment=${3:-} location=${4:-}
if ! [[ $target =~ ^[a-z][a-z0-9_-]*$ && $composer =~ ^[a-z0-9._-]+$ ]]; then
  sed -n '5s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
cd "$(dirname "$0")/../.."
bin=${ADELT_BIN:-.venv/bin}
# Before anything is copied: definitions that are right, and pools and graphs of DAGs that are theirs.
"$bin/adelt" validate
"$bin/adelt" export airflow --check

variables=$("$bin/adelt" targets "$target" --export)
eval "$variables"
bucket=$("$bin/adelt" targets "$target" --json | "$bin/python" -c 'import json, sys; print(json.load(sys.stdin)["bucket"])')
"$bin/dbt" parse --project-dir dbt --profiles-dir dbt --target-path "$PWD/.adelt/deploy" \
  --log-path "$PWD/.adelt/deploy/logs" --no-send-anonymous-usage-stats

sync() { # FROM TO
  gcloud storage rsync "$1" "gs://$composer/$2" --recursive --delete-unmatched-destination-objects \
    --exclude='(^|.*/)(__pycache__|target|logs|\.dlt/secrets\.toml)(/.*)?$'
}

for folder in dlt python dbt pipelines deploy; do
  sync "$folder" "data/adelt/$folder"
done
# The DAGs come last: they find what they name.
dags=.adelt/deploy/dags
rm -rf "$dags"
deploy/airflow/bundle.sh "$dags"
sync "$dags" dags/adelt
gcloud storage cp .adelt/deploy/manifest.json "gs://$bucket/dbt/manifest.json"
if [ -n "$environment" ]; then
  gcloud composer environments run "$environment" --location "$location" pools import -- \
    /home/airflow/gcs/data/adelt/deploy/airflow/pools.json
  deploy/airflow/check.sh "$environment" "$location"
fi
