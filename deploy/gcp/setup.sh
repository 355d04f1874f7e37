#!/usr/bin/env bash
# Makes what a target of deploy/targets.yml needs in Google Cloud: APIs, bucket, datasets, service accounts, roles.
# Looks first and changes only what differs: a second run changes nothing. Why each role: docs/roles.md.
#
#   deploy/gcp/setup.sh TARGET [--dry-run]
#
# Optional, from the environment:
#   GITHUB_REPOSITORY   owner/name: lets its GitHub Actions act as the ci and deploy accounts, without keys
#   ADELT_OPERATORS     members that may act as the runner, for example "user:a@b.c serviceAccount:composer@p.iam..."
#   ADELT_SECRETS       names of secrets that the runner may read; they are made if missing, without a value
#   COMPOSER_BUCKET     bucket of a Composer environment that the deploy account writes to
#   ADELT_SETUP_PAUSES  seconds between tries of a grant that fails, "2 5 10 15" by default
set -euo pipefail
trap 'exit 1' USR1 # `die` inside $(...) ends the script, not only the subshell

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

die() {
  printf 'error %s\n' "$*" >&2
  kill -s USR1 $$
  exit 1
}

# Change something, or only say so.
change() {
  printf '+ %s\n' "$*"
  changes=$((changes + 1))
  $dry_run || "$@" >/dev/null
}

# Give a role. A service account that was just made may not be known everywhere yet: try for half a minute.
grant() {
  printf '+ %s\n' "$*"
  changes=$((changes + 1))
  $dry_run && return
  local pause
  for pause in $pauses; do
    "$@" >/dev/null 2>"$errors" && return
    sleep "$pause"
  done
  "$@" >/dev/null
}

# Print what a command describes; fail quietly if it is not there, and end the script on any other error.
look() {
  local answer status=0
  answer=$("$@" 2>"$errors") || status=$?
  if [ "$status" -eq 0 ]; then
    printf '%s\n' "$answer"
    return 0
  fi
  # bq says what is wrong on its standard output.
  if printf '%s\n' "$answer" | cat - "$errors" | grep -qiE 'not[ _]?found|does not exist|unknown service account'; then
    return 1
  fi
  printf '%s\n' "$answer" | cat - "$errors" >&2
  die "cannot look at it: $*"
}

# json EXPRESSION [ARGUMENT...]: a Python expression about the JSON document on standard input, `d`; arguments are in `a`.
json() {
  "$python" -IS -c 'import json, sys
d, a = json.load(sys.stdin), sys.argv[2:]
v = eval(sys.argv[1])
print(v if isinstance(v, str) else json.dumps(v, sort_keys=True))' "$@"
}

# bound POLICY MEMBER ROLE: whether a policy gives a role, without conditions.
bound() {
  local found
  found=$(printf '%s' "$1" | json 'any(b["role"] == a[1] and a[0] in b["members"] and not b.get("condition")
    for b in d.get("bindings", []))' "$2" "$3")
  [ "$found" = true ]
}

make_services() {
  local enabled service
  enabled=$(gcloud services list --enabled --project="$project" --format='value(config.name)')
  for service in bigquery bigquerystorage storage iam iamcredentials sts secretmanager cloudresourcemanager \
    displayvideo doubleclickbidmanager dfareporting; do
    grep -qx "$service.googleapis.com" <<<"$enabled" ||
      change gcloud services enable "$service.googleapis.com" --project="$project"
  done
}

make_account() { # NAME DESCRIPTION
  look gcloud iam service-accounts describe "$1@$project.iam.gserviceaccount.com" --project="$project" \
    --format=json >/dev/null ||
    change gcloud iam service-accounts create "$1" --project="$project" --display-name="$2"
}

grant_project() { # MEMBER ROLE
  bound "$project_policy" "$1" "$2" ||
    grant gcloud projects add-iam-policy-binding "$project" --member="$1" --role="$2" --condition=None
}

grant_account() { # ACCOUNT MEMBER ROLE
  local policy
  # An account that this run would make has no policy yet.
  policy=$(look gcloud iam service-accounts get-iam-policy "$1" --project="$project" --format=json) || policy='{}'
  bound "$policy" "$2" "$3" ||
    grant gcloud iam service-accounts add-iam-policy-binding "$1" --project="$project" --member="$2" --role="$3" \
      --condition=None
}

grant_bucket() { # BUCKET MEMBER ROLE
  local policy
  policy=$(look gcloud storage buckets get-iam-policy "gs://$1" --format=json) || policy='{}'
  bound "$policy" "$2" "$3" ||
    grant gcloud storage buckets add-iam-policy-binding "gs://$1" --member="$2" --role="$3"
}

make_bucket() {
  local found rules place
  rules=$(printf '{"rule": [
    {"action": {"type": "Delete"}, "condition": {"age": %s, "matchesPrefix": ["landing/"]}},
    {"action": {"type": "Delete"}, "condition": {"age": 7, "matchesPrefix": ["staging/"]}}]}' "$landing_days")
  printf '%s\n' "$rules" >"$scratch/lifecycle.json"
  if ! found=$(look gcloud storage buckets describe "gs://$bucket" --format=json); then
    change gcloud storage buckets create "gs://$bucket" --project="$project" --location="$location" \
      --uniform-bucket-level-access --public-access-prevention
    change gcloud storage buckets update "gs://$bucket" --lifecycle-file="$scratch/lifecycle.json" \
      --update-labels="$labels"
    return
  fi
  place=$(printf '%s' "$found" | json 'd.get("location", "")')
  [ "${place^^}" = "${location^^}" ] ||
    die "gs://$bucket is in $place, the target in $location: a bucket cannot be moved; name another one"
  [ "$(printf '%s' "$found" | json 'd.get("uniform_bucket_level_access")')" = true ] ||
    change gcloud storage buckets update "gs://$bucket" --uniform-bucket-level-access
  [ "$(printf '%s' "$found" | json 'd.get("public_access_prevention", "")')" = enforced ] ||
    change gcloud storage buckets update "gs://$bucket" --public-access-prevention
  [ "$(printf '%s' "$found" | json '(d.get("lifecycle_config") or {}).get("rule")')" = \
    "$(printf '%s' "$rules" | json 'd["rule"]')" ] ||
    change gcloud storage buckets update "gs://$bucket" --lifecycle-file="$scratch/lifecycle.json"
  has_labels "$found" || change gcloud storage buckets update "gs://$bucket" --update-labels="$labels"
}

has_labels() { # JSON: whether the target's labels are among its labels
  [ "$(printf '%s' "$1" | json 'all((d.get("labels") or {}).get(p.split("=")[0]) == p.split("=")[1]
    for p in a[0].split(",") if p)' "$labels")" = true ]
}

make_dataset() { # DATASET
  local found place pair words=() more=()
  # What a run that was killed left there goes by itself.
  [ "$1" != "$staging" ] || more=(--default_table_expiration="$((staging_days * 24 * 3600))")
  for pair in ${labels//,/ }; do
    words+=("${pair/=/:}")
  done
  if ! found=$(look bq --project_id="$project" show --format=json "$project:$1"); then
    change bq --project_id="$project" --location="$location" mk --dataset "${words[@]/#/--label=}" "${more[@]}" \
      "$project:$1"
    found='{}'
  else
    place=$(printf '%s' "$found" | json 'd.get("location", "")')
    [ "${place^^}" = "${location^^}" ] ||
      die "dataset $1 is in $place, the target says $location: it cannot be moved; use another prefix"
    has_labels "$found" || change bq --project_id="$project" update "${words[@]/#/--set_label=}" "$project:$1"
  fi
  grant_dataset "$found" "$1" "$runner" WRITER roles/bigquery.dataEditor
  [ "$1" = "$staging" ] || grant_dataset "$found" "$1" "$ci" READER roles/bigquery.dataViewer
}

grant_dataset() { # JSON DATASET ACCOUNT LEGACY-ROLE ROLE; BigQuery tells the roles of datasets by their older names
  [ "$(printf '%s' "$1" | json 'any(e.get("userByEmail") == a[0] and e.get("role") in a[1:]
    for e in d.get("access", []))' "$3" "$4" "$5")" = true ] ||
    grant bq --project_id="$project" --location="$location" query --use_legacy_sql=false \
      "GRANT \`$5\` ON SCHEMA \`$project.$2\` TO 'serviceAccount:$3'"
}

make_secret() { # NAME
  local policy
  look gcloud secrets describe "$1" --project="$project" --format=json >/dev/null ||
    change gcloud secrets create "$1" --project="$project" --replication-policy=automatic
  policy=$(look gcloud secrets get-iam-policy "$1" --project="$project" --format=json) || policy='{}'
  bound "$policy" "serviceAccount:$runner" roles/secretmanager.secretAccessor ||
    grant gcloud secrets add-iam-policy-binding "$1" --project="$project" --member="serviceAccount:$runner" \
      --role=roles/secretmanager.secretAccessor --condition=None
}

make_federation() { # OWNER/NAME
  local number pool="github" provider="github" condition found
  condition="assertion.repository == '$1'"
  number=$(gcloud projects describe "$project" --format='value(projectNumber)')
  look gcloud iam workload-identity-pools describe "$pool" --location=global --project="$project" --format=json \
    >/dev/null ||
    change gcloud iam workload-identity-pools create "$pool" --location=global --project="$project" \
      --display-name="GitHub Actions"
  if ! found=$(look gcloud iam workload-identity-pools providers describe "$provider" --workload-identity-pool="$pool" \
    --location=global --project="$project" --format=json); then
    change gcloud iam workload-identity-pools providers create-oidc "$provider" --workload-identity-pool="$pool" \
      --location=global --project="$project" --issuer-uri=https://token.actions.githubusercontent.com \
      --attribute-mapping="google.subject=assertion.sub,attribute.repository=assertion.repository" \
      --attribute-condition="$condition"
  elif [ "$(printf '%s' "$found" | json 'd.get("attributeCondition", "")')" != "$condition" ]; then
    change gcloud iam workload-identity-pools providers update-oidc "$provider" --workload-identity-pool="$pool" \
      --location=global --project="$project" --attribute-condition="$condition"
  fi
  local prefix="iam.googleapis.com/projects/$number/locations/global/workloadIdentityPools/$pool"
  # Pull requests may act as ci; only jobs of the protected GitHub environment of this name may deploy.
  grant_account "$ci" "principalSet://$prefix/attribute.repository/$1" roles/iam.workloadIdentityUser
  grant_account "$deploy" "principal://$prefix/subject/repo:$1:environment:$target" roles/iam.workloadIdentityUser
  printf 'GitHub variables: GCP_WORKLOAD_IDENTITY_PROVIDER=%s\n' \
    "projects/$number/locations/global/workloadIdentityPools/$pool/providers/$provider"
  printf 'GitHub variables: GCP_CI_SERVICE_ACCOUNT=%s GCP_DEPLOY_SERVICE_ACCOUNT=%s\n' "$ci" "$deploy"
}

target=${1:-} dry_run=false changes=0 pauses=${ADELT_SETUP_PAUSES-2 5 10 15}
case "${2:-}" in
  '') ;;
  --dry-run) dry_run=true ;;
  *) usage ;;
esac
[[ $target =~ ^[a-z][a-z0-9_-]*$ ]] || usage

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || die "bash $BASH_VERSION is too old: 4.4, or use Cloud Shell"
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || die "there is no $python: run make setup"
for tool in gcloud bq; do
  command -v "$tool" >/dev/null || die "there is no $tool: install the Google Cloud CLI"
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
errors=$scratch/errors

told=$(cd "$root" && "$python" -m adelt targets "$target" --json) || die "the target $target cannot be read"
assigned=$(printf '%s' "$told" | "$python" -c 'import json, shlex, sys
t = json.load(sys.stdin)
if t["type"] != "bigquery":
    sys.exit("it is on this machine: nothing to make")
t["labels"] = ",".join(f"{key}={value}" for key, value in t["labels"].items())
t["datasets"] = " ".join([*t["datasets"], t["prefix"] + "raw_ops"])
for key in ("project", "location", "bucket", "labels", "datasets", "staging", "landing_days"):
    print(f"{key}={shlex.quote(str(t[key]))}")') || die "target $target"
project='' location='' bucket='' labels='' datasets='' staging='' landing_days='' staging_days=1
eval "$assigned"
name=${target//_/-}
runner=adelt-runner-$name@$project.iam.gserviceaccount.com
ci=adelt-ci-$name@$project.iam.gserviceaccount.com
deploy=adelt-deploy-$name@$project.iam.gserviceaccount.com

printf '%s: project %s, %s\n' "$target" "$project" "$location"
make_services
make_account "adelt-runner-$name" "adelt: runs pipelines ($target)"
make_account "adelt-ci-$name" "adelt: builds pull requests ($target)"
make_account "adelt-deploy-$name" "adelt: deploys ($target)"
project_policy=$(gcloud projects get-iam-policy "$project" --format=json)
grant_project "serviceAccount:$runner" roles/bigquery.jobUser
grant_project "serviceAccount:$ci" roles/bigquery.user
if [ -n "$bucket" ]; then
  make_bucket
  grant_bucket "$bucket" "serviceAccount:$runner" roles/storage.objectUser
  grant_bucket "$bucket" "serviceAccount:$runner" roles/storage.legacyBucketReader
  grant_bucket "$bucket" "serviceAccount:$ci" roles/storage.objectViewer
  grant_bucket "$bucket" "serviceAccount:$deploy" roles/storage.objectUser
fi
for dataset in $datasets; do
  make_dataset "$dataset"
done
for secret in ${ADELT_SECRETS:-}; do
  make_secret "$secret"
done
for member in ${ADELT_OPERATORS:-}; do
  grant_account "$runner" "$member" roles/iam.serviceAccountTokenCreator
done
if [ -n "${COMPOSER_BUCKET:-}" ]; then
  grant_bucket "$COMPOSER_BUCKET" "serviceAccount:$deploy" roles/storage.objectUser
fi
if [ -n "${GITHUB_REPOSITORY:-}" ]; then
  make_federation "$GITHUB_REPOSITORY"
fi
if $dry_run; then
  printf '%s changes would be made\n' "$changes"
else
  printf '%s changes were made; check them: adelt doctor --target %s\n' "$changes" "$target"
fi
