"""Cloud Storage in the sandbox, with google-cloud-storage and gcsfs."""

import base64
import hashlib
import json
import os
import urllib.error
import urllib.request

import fsspec
import google_crc32c
import pytest
from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2 import service_account

import adelt_sandbox


@pytest.fixture(scope="module")
def sandbox():
    with adelt_sandbox.running() as running:
        yield running
        assert running.stats()["problems"] == []


@pytest.fixture(scope="module")
def partner(sandbox):
    return sandbox.request("GET", "/sandbox/health")["partner_ids"][0]


def connect(sandbox, key=None):
    made = AnonymousCredentials()
    if key:
        made = service_account.Credentials.from_service_account_file(
            str(key), scopes=["https://www.googleapis.com/auth/devstorage.read_write"]
        )
    return storage.Client(project="p", credentials=made, client_options={"api_endpoint": sandbox.url})


@pytest.fixture(scope="module")
def gcs(sandbox):
    return connect(sandbox, sandbox.credentials)


@pytest.fixture(scope="module")
def fs(sandbox):
    return fsspec.filesystem("gs", endpoint_url=sandbox.url, token="anon", skip_instance_cache=True)


@pytest.fixture(scope="module")
def bucket(gcs):
    return gcs.create_bucket("mine")


def test_entity_read_files_are_listed_by_day_and_page(gcs, partner):
    names = [blob.name for blob in gcs.list_blobs(f"gdbm-{partner}", prefix="entity/20241031.")]
    assert "entity/20241031.0.summary.json" in names
    assert "entity/20241031.0.LineItem.json" in names
    assert names == sorted(names)
    paged = [blob.name for blob in gcs.list_blobs(f"gdbm-{partner}", prefix="entity/20241031.", page_size=2)]
    assert paged == names


def test_sixty_days_are_kept_and_none_is_newer_than_the_sunset(sandbox, partner):
    url = f"{sandbox.url}/storage/v1/b/gdbm-{partner}/o?prefix=entity/&fields=items(name),nextPageToken"
    days, token = set(), ""
    while True:
        with urllib.request.urlopen(f"{url}&pageToken={token}", timeout=120) as answer:
            page = json.load(answer)
        days |= {item["name"].split("/")[1].split(".")[0] for item in page["items"]}
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert len(days) == 60
    assert (min(days), max(days)) == ("20240902", "20241031")


def test_some_types_come_in_several_files_with_every_object_once(gcs, partner):
    names = [blob.name for blob in gcs.list_blobs(f"gdbm-{partner}", prefix="entity/")]
    batches = [name for name in names if name.split(".")[1] != "0"]
    assert batches
    stem = batches[0].split(".")
    ids = []
    for name in names:
        parts = name.split(".")
        if (parts[0], parts[2]) == (stem[0], stem[2]):
            ids += [
                json.dumps(item)
                for item in json.loads(gcs.bucket(f"gdbm-{partner}").blob(name).download_as_bytes())
            ]
    assert len(ids) == len(set(ids)) > 1


def test_every_layout_of_the_array_occurs(gcs, partner):
    layouts = set()
    for name in (f"gdbm-{partner}", "gdbm-public"):
        for blob in gcs.list_blobs(name, prefix="entity/20241030.0."):
            text = blob.download_as_bytes().decode()
            if len(json.loads(text)) > 1:
                layouts.add(
                    "single" if "\n" not in text else "pretty" if text.startswith("[\n  ") else "lines"
                )
    assert layouts == {"single", "pretty", "lines"}


def test_content_checksums_generation_and_ranges_agree(gcs, partner):
    blob = gcs.bucket(f"gdbm-{partner}").get_blob("entity/20241031.0.Advertiser.json")
    content = blob.download_as_bytes(checksum="crc32c")
    assert blob.size == len(content)
    assert blob.md5_hash == base64.b64encode(hashlib.md5(content).digest()).decode()
    assert blob.crc32c == base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
    assert blob.download_as_bytes(start=3, end=9) == content[3:10]
    assert blob.download_as_bytes(if_generation_match=blob.generation) == content
    with pytest.raises(PreconditionFailed):
        blob.download_as_bytes(if_generation_match=1)
    with pytest.raises(NotFound):
        gcs.bucket(f"gdbm-{partner}").blob(
            "entity/20241031.0.Advertiser.json", generation=1
        ).download_as_bytes()


def test_the_same_sandbox_makes_the_same_files_again(sandbox, gcs, partner):
    name = "entity/20241029.0.LineItem.json"
    first = gcs.bucket(f"gdbm-{partner}").get_blob(name)
    with adelt_sandbox.running() as second:
        again = connect(second).bucket(f"gdbm-{partner}").get_blob(name)
    assert (again.md5_hash, again.generation) == (first.md5_hash, first.generation)


def test_files_appear_in_the_morning_and_the_summary_last(sandbox, gcs, partner):
    def names():
        return [
            blob.name.split(".")[2] for blob in gcs.list_blobs(f"gdbm-{partner}", prefix="entity/20241031.")
        ]

    try:
        sandbox.set_clock("2024-10-31T04:59:00Z")
        assert names() == []
        sandbox.set_clock("2024-10-31T05:10:00Z")
        assert "LineItem" in names()
        assert "summary" not in names()
    finally:
        sandbox.set_clock("2026-01-06T06:00:00Z")
    assert "summary" in names()


def test_buckets_of_other_partners_are_403_and_missing_ones_404(sandbox, gcs, partner):
    other = connect(sandbox, sandbox.other_credentials)
    with pytest.raises(Forbidden, match="does not have storage"):
        list(other.list_blobs(f"gdbm-{partner}"))
    assert next(iter(other.list_blobs("gdbm-public", prefix="entity/20241031.")))
    with pytest.raises(NotFound, match="bucket does not exist"):
        list(gcs.list_blobs("gdbm-99"))
    with pytest.raises(NotFound):
        gcs.bucket(f"gdbm-{partner}").blob("entity/20241101.0.LineItem.json").download_as_bytes()


def test_entity_read_files_cannot_be_changed(gcs, partner):
    with pytest.raises(Forbidden, match="can only be read"):
        gcs.bucket(f"gdbm-{partner}").blob("x").upload_from_string("x")
    with pytest.raises(Forbidden):
        gcs.bucket(f"gdbm-{partner}").blob("entity/20241031.0.LineItem.json").delete()


def test_gcsfs_reads_entity_read_files(fs, partner):
    assert fs.ls("gs://gdbm-public/")[0].rstrip("/") == "gdbm-public/entity"
    found = fs.glob(f"gs://gdbm-{partner}/entity/20241030.*.LineItem.json")
    assert found
    with fs.open(found[0], "rb") as file:
        assert json.load(file)
    assert not fs.exists(f"gs://gdbm-{partner}/entity/20241101.0.summary.json")
    with pytest.raises(FileNotFoundError):
        fs.ls("gs://gdbm-99")


def test_an_invalid_token_is_401_even_where_none_is_needed(sandbox):
    request = urllib.request.Request(
        sandbox.url + "/storage/v1/b/gdbm-public/o", headers={"Authorization": "Bearer x"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    assert caught.value.code == 401


def test_tokens_can_be_made_necessary():
    with adelt_sandbox.running(options=["--storage-needs-token"]) as strict:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(strict.url + "/storage/v1/b/gdbm-public/o", timeout=60)
        assert caught.value.code == 401
        client = connect(strict, strict.credentials)
        assert next(iter(client.list_blobs("gdbm-public", prefix="entity/20241031.")))


def test_users_buckets_hold_what_is_put_in_them(gcs, bucket):
    content = os.urandom(9_000_000)  # large enough for a resumable upload
    blob = bucket.blob("deep/er/big.bin")
    blob.metadata = {"colour": "red"}
    blob.upload_from_string(content)
    assert blob.download_as_bytes(checksum="md5") == content
    assert bucket.get_blob("deep/er/big.bin").metadata == {"colour": "red"}
    for name in ("a.txt", "b.txt", "deep/c.txt"):
        bucket.blob(name).upload_from_string(name)
    listing = gcs.list_blobs("mine", delimiter="/", page_size=1)
    assert [blob.name for blob in listing] == ["a.txt", "b.txt"]
    assert listing.prefixes == {"deep/"}
    bucket.blob("a.txt").delete()
    assert not bucket.blob("a.txt").exists()
    with pytest.raises(NotFound, match="No such object"):
        bucket.blob("a.txt").download_as_bytes()


def test_preconditions_are_kept(bucket):
    blob = bucket.blob("once.txt")
    blob.upload_from_string("first", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        blob.upload_from_string("second", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=1)
    assert bucket.blob("once.txt").download_as_bytes() == b"first"
    blob.upload_from_string("third", if_generation_match=blob.generation)
    assert bucket.blob("once.txt").download_as_bytes() == b"third"


def test_gcsfs_writes_and_reads(fs, bucket):
    with fs.open("mine/lake/x.bin", "wb") as file:
        file.write(b"0123456789" * 10)
    with fs.open("mine/lake/x.bin", "rb") as file:
        file.seek(95)
        assert file.read() == b"56789"
    assert fs.info("mine/lake/x.bin")["size"] == 100
    fs.rm("mine/lake/x.bin")
    assert not fs.exists("mine/lake/x.bin")


def test_buckets_can_be_made_listed_and_removed(gcs, bucket):
    gcs.create_bucket("short-lived").delete()
    assert [item.name for item in gcs.list_buckets()] == ["mine"]


@pytest.mark.parametrize("size", ["0", "x"])
def test_a_wrong_page_size_is_400(sandbox, size):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{sandbox.url}/storage/v1/b/gdbm-public/o?maxResults={size}", timeout=60)
    assert caught.value.code == 400
