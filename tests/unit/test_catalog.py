"""The catalogue: what the YAML declares, and how it fails."""

import pytest

from adelt_sources.catalog import ListOf, Record, Scalar, catalog, sources, table_spec, walk
from adelt_sources.errors import InputError
from adelt_sources.types import duckdb_type

ALL = [(source, name) for source in sources() for name in catalog(source)]


def test_every_source_of_the_main_job_is_declared():
    assert sources() == [
        "cm360",
        "cm360_reports",
        "dv360",
        "dv360_erf",
        "dv360_reports",
        "orchestra_metadata",
    ]


def test_every_entity_read_file_type_is_declared():
    public = {name for name, spec in catalog("dv360_erf").items() if spec.facts["scope"] == "public"}
    assert len(catalog("dv360_erf")) == 22
    assert {"browser", "geo_location", "isp", "supported_exchange"} <= public
    assert not {"line_item", "advertiser", "campaign", "custom_affinity"} & public


@pytest.mark.parametrize(("source", "table"), ALL, ids=lambda value: value)
def test_a_declaration_is_complete(source, table):
    spec = table_spec(source, table)
    names = [column.name for column in spec.columns]
    assert len(names) == len(set(names))
    assert names[-2:] == ["_run_id", "_loaded_at"]
    assert spec.description
    assert spec.account in names
    assert spec.date in names
    assert all(key.partition(".")[0] in names for key in spec.key)
    assert all(column.description for column in spec.columns)
    for column in spec.columns:
        assert all(isinstance(inner, Scalar | ListOf | Record) for inner in walk(column.type))


def test_records_nest_as_in_the_feed():
    budget = next(
        c for c in table_spec("dv360_erf", "insertion_order").columns if c.name == "scheduled_segments"
    )
    assert duckdb_type(budget.type).startswith('STRUCT("start_time_usec" BIGINT, "end_time_usec" BIGINT,')
    assert duckdb_type(budget.type).endswith(")[]")


def test_a_report_asks_for_what_it_declares():
    spec = table_spec("dv360_reports", "standard")
    assert [c.api_name for c in spec.role("dimension")][:3] == [
        "FILTER_DATE",
        "FILTER_PARTNER",
        "FILTER_ADVERTISER",
    ]
    assert all(c.api_name.startswith("METRIC_") and c.header for c in spec.role("metric"))


def test_a_misspelt_source_gets_a_suggestion():
    with pytest.raises(InputError, match="there is no source `dv360_report`") as caught:
        catalog("dv360_report")
    assert caught.value.fix == "did you mean `dv360_reports`?"
    assert caught.value.exit_code == 2


def test_a_misspelt_table_gets_a_suggestion():
    with pytest.raises(InputError) as caught:
        table_spec("dv360", "lineitem")
    assert caught.value.fix == "did you mean `line_item`?"
