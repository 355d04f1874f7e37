"""deploy/kestra: what the compose file and the image name is there, and nothing is open to the network."""

import re
from pathlib import Path

import yaml

from adelt.export.kestra import Config

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kestra"


def test_the_compose_file_names_what_is_there():
    compose = yaml.safe_load((FOLDER / "compose.yml").read_text("utf-8"))
    kestra = compose["services"]["kestra"]
    assert (
        FOLDER / kestra["build"]["context"] / kestra["build"]["dockerfile"]
    ).resolve() == FOLDER / "Dockerfile"
    assert kestra["image"] == Config().image
    assert all(
        port.startswith("127.0.0.1:") for one in compose["services"].values() for port in one.get("ports", ())
    )
    mounts = [mount.split(":")[0] for one in compose["services"].values() for mount in one["volumes"]]
    assert {mount for mount in mounts if not mount.startswith("./")} == set(compose["volumes"])
    assert all((FOLDER / mount).is_dir() for mount in mounts if mount.startswith("./"))
    settings = yaml.safe_load(kestra["environment"]["KESTRA_CONFIGURATION"])
    assert settings["kestra"]["repository"] == settings["kestra"]["queue"] == {"type": "postgres"}


def test_the_image_copies_what_is_there_and_what_is_not_ignored():
    text = (FOLDER / "Dockerfile").read_text("utf-8")
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert {"dlt", "dbt", "python", "pipelines"} < copied
    assert all((ROOT / one).exists() for one in copied)
    allowed = {
        line[1:]
        for line in (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert allowed == copied
