"""What `gcloud` and `bq` answer in the tests of deploy/gcp/setup.sh: a project in a JSON file. Unknown words are refused.

Run as `fake_cloud.py STATE gcloud|bq WORDS...`; what changed the project is listed under `changes`.
"""

import json
import re
import sys
from pathlib import Path

NUMBER = "123456"


class MissingError(Exception):
    """There is no such thing."""


def split(words):
    """Words without flags, and flags; `--flag=value`, or true."""
    flags = {}
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            flags.setdefault(name, []).append(value or True)
    return [word for word in words if not word.startswith("--")], flags


def only(flags, *known):
    if unknown := set(flags) - set(known) - {"project", "format", "location", "project_id"}:
        sys.exit(f"ERROR: unrecognized arguments: {unknown}")


def bind(policy, flags):
    member, role = flags["member"][0], flags["role"][0]
    for binding in policy.setdefault("bindings", []):
        if binding["role"] == role:
            binding["members"] = sorted({*binding["members"], member})
            return
    policy["bindings"].append({"role": role, "members": [member]})


def gcloud(state, words, flags):
    """The answer, and whether something changed."""
    line = " ".join(words)
    project = state["project"]
    assert flags.get("project", [project]) == [project], flags
    if line == "services list":
        only(flags, "enabled")
        return "\n".join(state["services"]), False
    if line.startswith("services enable "):
        state["services"].append(words[2])
        return "", True
    if line == f"projects describe {project}":
        return NUMBER, False
    if line == f"projects get-iam-policy {project}":
        return json.dumps(state["policy"]), False
    if line == f"projects add-iam-policy-binding {project}":
        only(flags, "member", "role", "condition")
        known(state, flags["member"][0])
        bind(state["policy"], flags)
        return "", True
    if match := re.fullmatch(r"iam service-accounts (\S+) (\S+)", line):
        return account(state, match[1], match[2], flags)
    if match := re.fullmatch(r"storage buckets (\S+) gs://(\S+)", line):
        return bucket(state, match[1], match[2], flags)
    if match := re.fullmatch(r"secrets (\S+) (\S+)", line):
        return thing(state["secrets"], match[1], match[2], flags, "replication-policy")
    if match := re.fullmatch(r"iam workload-identity-pools (describe|create) (\S+)", line):
        return thing(state["pools"], match[1], match[2], flags, "display-name")
    if match := re.fullmatch(r"iam workload-identity-pools providers (\S+) (\S+)", line):
        return provider(state, match[1], match[2], flags)
    sys.exit(f"ERROR: Invalid choice: {line}")


def known(state, member):
    """Refuse a service account that is not there, as IAM does."""
    kind, _, email = member.partition(":")
    if kind == "serviceAccount" and email.endswith(f"@{state['project']}.iam.gserviceaccount.com"):
        if email not in state["accounts"]:
            sys.exit(f"ERROR: Service account {email} does not exist.")
        if state["accounts"][email].get("new", 0) > 0:  # not known everywhere yet
            state["accounts"][email]["new"] -= 1
            Path(sys.argv[1]).write_text(json.dumps(state))
            sys.exit(f"ERROR: Service account {email} does not exist.")


def account(state, verb, name, flags):
    if verb == "create":
        only(flags, "display-name")
        assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", name), name
        state["accounts"][f"{name}@{state['project']}.iam.gserviceaccount.com"] = {
            "policy": {}, "new": state.get("slow", 0)
        }  # fmt: skip
        return "", True
    if name not in state["accounts"]:
        raise MissingError(f"NOT_FOUND: Unknown service account {name}")
    found = state["accounts"][name]
    if verb == "describe":
        return json.dumps({"email": name}), False
    if verb == "get-iam-policy":
        return json.dumps(found["policy"]), False
    assert verb == "add-iam-policy-binding"
    only(flags, "member", "role", "condition")
    bind(found["policy"], flags)
    return "", True


def bucket(state, verb, name, flags):
    if verb == "create":
        only(flags, "uniform-bucket-level-access", "public-access-prevention")
        state["buckets"][name] = {
            "name": name,
            "location": flags["location"][0].upper(),
            "uniform_bucket_level_access": "uniform-bucket-level-access" in flags,
            "public_access_prevention": "enforced" if "public-access-prevention" in flags else "inherited",
            "policy": {},
        }
        return "", True
    if name not in state["buckets"]:
        raise MissingError(f"ERROR: (gcloud.storage.buckets.{verb}) gs://{name} not found: 404.")
    found = state["buckets"][name]
    if verb == "describe":
        return json.dumps({key: value for key, value in found.items() if key != "policy"}), False
    if verb == "get-iam-policy":
        return json.dumps(found["policy"]), False
    if verb == "add-iam-policy-binding":
        only(flags, "member", "role")
        known(state, flags["member"][0])
        bind(found["policy"], flags)
        return "", True
    assert verb == "update"
    only(flags, "lifecycle-file", "update-labels", "uniform-bucket-level-access", "public-access-prevention")
    if "lifecycle-file" in flags:
        found["lifecycle_config"] = json.loads(Path(flags["lifecycle-file"][0]).read_text())
    if "update-labels" in flags:
        pairs = (pair.split("=") for pair in flags["update-labels"][0].split(","))
        found["labels"] = {**found.get("labels", {}), **dict(pairs)}
    if "uniform-bucket-level-access" in flags:
        found["uniform_bucket_level_access"] = True
    if "public-access-prevention" in flags:
        found["public_access_prevention"] = "enforced"
    return "", True


def thing(known_things, verb, name, flags, *more):
    only(flags, *more, "member", "role", "condition")
    if verb == "create":
        known_things[name] = {"policy": {}}
        return "", True
    if name not in known_things:
        raise MissingError(f"ERROR: NOT_FOUND: {name} not found")
    if verb == "describe":
        return json.dumps({"name": name}), False
    if verb == "get-iam-policy":
        return json.dumps(known_things[name]["policy"]), False
    assert verb == "add-iam-policy-binding"
    bind(known_things[name]["policy"], flags)
    return "", True


def provider(state, verb, name, flags):
    if verb == "describe":
        if name not in state["providers"]:
            raise MissingError("ERROR: NOT_FOUND: Requested entity was not found.")
        return json.dumps(state["providers"][name]), False
    assert verb in ("create-oidc", "update-oidc")
    if verb == "create-oidc":
        assert flags["issuer-uri"] == ["https://token.actions.githubusercontent.com"]
        assert "google.subject=assertion.sub" in flags["attribute-mapping"][0]
    state["providers"][name] = {"attributeCondition": flags["attribute-condition"][0]}
    return "", True


def bq(state, words, flags):
    project = state["project"]
    assert flags["project_id"] == [project]
    if words[0] == "query":
        only(flags, "use_legacy_sql")
        match = re.fullmatch(
            r"GRANT `(\S+)` ON SCHEMA `([\w-]+)\.(\w+)` TO '(serviceAccount:(\S+))'", words[1]
        )
        assert match, words
        known(state, match[4])
        legacy = {"roles/bigquery.dataEditor": "WRITER", "roles/bigquery.dataViewer": "READER"}[match[1]]
        state["datasets"][match[3]]["access"].append({"role": legacy, "userByEmail": match[5]})
        return "", True
    name = words[-1].removeprefix(f"{project}:")
    if words[0] == "mk":
        only(flags, "dataset", "label", "default_table_expiration")
        labels = dict(pair.split(":") for pair in flags.get("label", []))
        state["datasets"][name] = {"location": flags["location"][0], "labels": labels, "access": []}
        if "default_table_expiration" in flags:
            state["datasets"][name]["expires"] = int(flags["default_table_expiration"][0])
        return "", True
    if name not in state["datasets"]:
        print(f"BigQuery error in show operation: Not found: Dataset {project}:{name}")  # on standard output
        raise MissingError("")
    if words[0] == "show":
        return json.dumps(state["datasets"][name]), False
    assert words[0] == "update", words
    only(flags, "set_label")
    state["datasets"][name]["labels"].update(pair.split(":") for pair in flags["set_label"])
    return "", True


def main():
    path, tool, words = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    state = json.loads(path.read_text())
    if state.get("broken") and re.search(state["broken"], " ".join(words)):
        sys.exit("ERROR: PERMISSION_DENIED: The caller does not have permission (or it may not exist)")
    bare, flags = split(words)
    try:
        answer, changed = (gcloud if tool == "gcloud" else bq)(state, bare, flags)
    except MissingError as error:
        sys.exit(str(error) or 2)
    if changed:
        state["changes"].append([tool, *words])
        path.write_text(json.dumps(state))
    print(answer)


if __name__ == "__main__":
    main()
