#!/usr/bin/env bash
# Builds what a pull request changes, in datasets of its own, and drops them: what .github/workflows/dbt-slim.yml runs.
# Everything that it did not change is read where the target has it (dbt's --defer), so only the changed models cost.
#
#   deploy/gcp/slim.sh build TARGET NUMBER    build and test state:modified+ into pr_NUMBER_*
#   deploy/gcp/slim.sh drop TARGET NUMBER     drop the datasets pr_NUMBER_*
#
# ADELT_SLIM_MAX_BYTES bounds what each query may be billed for; the target's max_bytes by default.
set -euo pipefail

usage() {
  sed -n '5,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

verb=${1:-} target=${2:-} number=${3:-}
[[ $target =~ ^[a-z][a-z0-9_-]*$ && $number =~ ^[0-9]+$ ]] || usage
cd "$(dirname "$0")/../.."
bin=${ADELT_BIN:-.venv/bin}
export ADELT_SCHEMA_PREFIX=pr_${number}_
variables=$("$bin/adelt" targets "$target" --export)
eval "$variables"
export ADELT_BIGQUERY_MAX_BYTES=${ADELT_SLIM_MAX_BYTES:-${ADELT_BIGQUERY_MAX_BYTES:-}}

drop() {
  local datasets dataset
  datasets=$(bq --project_id="$ADELT_BIGQUERY_PROJECT" ls --datasets --max_results=10000 --format=json |
    "$bin/python" -c 'import json, sys
text = sys.stdin.read().strip()
for one in json.loads(text) if text else []:
    name = one["datasetReference"]["datasetId"]
    if name.startswith(sys.argv[1]):
        print(name)' "$ADELT_SCHEMA_PREFIX")
  for dataset in $datasets; do
    printf '+ drop %s\n' "$dataset"
    bq --project_id="$ADELT_BIGQUERY_PROJECT" rm -r -f --dataset "$ADELT_BIGQUERY_PROJECT:$dataset"
  done
}

build() {
  local state=.adelt/slim/state bucket
  local words=(--project-dir dbt --profiles-dir dbt --target-path "$PWD/.adelt/slim/target"
    --log-path "$PWD/.adelt/slim/logs" --no-send-anonymous-usage-stats)
  bucket=$("$bin/adelt" targets "$target" --json | "$bin/python" -c 'import json, sys; print(json.load(sys.stdin)["bucket"])')
  rm -rf "$state"
  mkdir -p "$state"
  if gcloud storage cp "gs://$bucket/dbt/manifest.json" "$state/manifest.json"; then
    "$bin/dbt" build "${words[@]}" --select state:modified+ --defer --state "$PWD/$state"
  else
    printf 'there is no manifest in gs://%s/dbt: everything is built; deployments put one there\n' "$bucket"
    "$bin/dbt" build "${words[@]}"
  fi
}

case $verb in
  build) build ;;
  drop) drop ;;
  *) usage ;;
esac
