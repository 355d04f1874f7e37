"""deploy/airflow: what the compose file and the image name is there, and nothing is open to the network."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/airflow"
COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text("utf-8"))
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")


def test_the_compose_file_names_what_is_there():
    services = COMPOSE["services"]
    build = services["init"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).resolve() == FOLDER / "Dockerfile"
    assert re.search(rf"^FROM .* AS {build['target']}$", DOCKERFILE, re.MULTILINE)
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one.get("ports", ()))
    mounts = {mount.split(":")[0] for one in services.values() for mount in one["volumes"]}
    assert mounts == set(COMPOSE["volumes"])
    needed = {need for one in services.values() for need in one.get("depends_on", ())}
    assert needed <= set(services)


def test_airflow_has_all_its_processes_and_keeps_its_data_in_postgres():
    services = {name: one for name, one in COMPOSE["services"].items() if name != "postgres"}
    assert {one["command"] for one in services.values() if isinstance(one["command"], str)} == {
        "api-server", "scheduler", "dag-processor", "triggerer",
    }  # fmt: skip
    for one in services.values():
        assert one["environment"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("postgresql+psycopg2://")
        assert one["image"] == "adelt-airflow"


def test_the_image_copies_what_is_there_and_is_the_version_that_is_tested():
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert {"dlt", "dbt", "python", "pipelines", "deploy/airflow"} < copied
    assert all((ROOT / one).exists() for one in copied)
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    [version] = re.findall(r"^ARG AIRFLOW_VERSION=(.+)$", DOCKERFILE, re.MULTILINE)
    assert f"apache-airflow=={version}\n" in (FOLDER / "requirements.in").read_text("utf-8")
