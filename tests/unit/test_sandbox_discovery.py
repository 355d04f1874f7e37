"""Requests and answers are checked against Google's discovery documents."""

import pytest

from adelt_sandbox.discovery import APIS, Api, rewritten
from adelt_sandbox.displayvideo import _ORDER
from adelt_sandbox.dv_lists import GETS, LISTS
from adelt_sandbox.errors import GoogleError


@pytest.fixture(scope="module")
def dv():
    return Api("displayvideo", "v4")


@pytest.mark.parametrize(
    ("verb", "path", "method", "values"),
    [
        ("GET", "v4/partners", "partners.list", {}),
        ("GET", "v4/advertisers/5", "advertisers.get", {"advertiserId": "5"}),
        (
            "GET",
            "v4/advertisers/5/lineItems:bulkListAssignedTargetingOptions",
            "advertisers.lineItems.bulkListAssignedTargetingOptions",
            {"advertiserId": "5"},
        ),
        (
            "GET",
            "v4/advertisers/5:listAssignedTargetingOptions",
            "advertisers.listAssignedTargetingOptions",
            {"advertiserId": "5"},
        ),
        (
            "GET",
            "v4/targetingTypes/TARGETING_TYPE_BROWSER/targetingOptions",
            "targetingTypes.targetingOptions.list",
            {"targetingType": "TARGETING_TYPE_BROWSER"},
        ),
    ],
)
def test_a_path_finds_its_method(dv, verb, path, method, values):
    found, parameters = dv.find(verb, path)
    assert found.short_id == method
    assert parameters == values


def test_unknown_paths_are_404_and_wrong_verbs_405(dv):
    with pytest.raises(GoogleError, match="was not found") as caught:
        dv.find("GET", "v4/nothing")
    assert caught.value.code == 404
    with pytest.raises(GoogleError, match="not allowed") as caught:
        dv.find("DELETE", "v4/partners")
    assert caught.value.code == 405


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ([("nope", "1")], "Unknown name"),
        ([("pageSize", "ten")], "Invalid value at 'pageSize'"),
        ([("partnerId", "abc")], "Invalid value at 'partnerId'"),
        ([("filter", "a"), ("filter", "b")], "once only"),
        ([("alt", "xml")], "Invalid value at 'alt'"),
    ],
)
def test_wrong_parameters_are_named(dv, query, said):
    method, values = dv.find("GET", "v4/advertisers")
    with pytest.raises(GoogleError, match=said) as caught:
        dv.check_parameters(method, values, query)
    assert caught.value.code == 400
    assert caught.value.details[0]["fieldViolations"][0]["field"] == query[0][0]


def test_a_body_is_checked_at_every_depth():
    api = Api("doubleclickbidmanager", "v2")
    method, _ = api.find("POST", "queries")
    body = {
        "metadata": {"title": 5, "dataRange": {"range": "LAST_WEEK"}},
        "params": {"groupBys": "FILTER_DATE", "colour": "red"},
        "queryId": 12,
    }
    with pytest.raises(GoogleError, match="Invalid JSON payload") as caught:
        api.check_body(method, body)
    fields = {violation["field"] for violation in caught.value.details[0]["fieldViolations"]}
    assert fields == {"metadata.title", "metadata.dataRange.range", "params.groupBys", "params", "queryId"}


def test_an_answer_with_a_number_for_an_int64_does_not_fit(dv):
    method, _ = dv.find("GET", "v4/partners")
    assert dv.check_response(method, {"partners": [{"partnerId": "1"}]}) == []
    assert dv.check_response(method, {"partners": [{"partnerId": 1}]})
    assert dv.check_response(method, {"partners": [{"partnerid": "1"}]})


def test_page_size_bounds_come_from_the_descriptions(dv):
    bounds = {method.short_id: method.page_bounds() for method in dv.methods if method.is_list}
    assert bounds["advertisers.list"] == (1, 200, 100)
    assert bounds["advertisers.insertionOrders.list"] == (1, 100, 100)
    assert bounds["advertisers.lineItems.bulkListAssignedTargetingOptions"] == (1, 5000, 5000)
    assert bounds["advertisers.listAssignedTargetingOptions"] == (1, 5000, 5000)


def test_every_declared_list_and_get_exists(dv):
    known = {method.short_id for method in dv.methods}
    assert set(LISTS) | set(GETS) <= known


def test_every_list_with_an_order_names_its_fields(dv):
    for method in dv.methods:
        if method.is_list and method.short_id in LISTS and "orderBy" in method.parameters:
            described = _ORDER.findall(method.parameters["orderBy"]["description"])
            assert described or LISTS[method.short_id].order, method.id


@pytest.mark.parametrize(("name", "version"), APIS)
def test_a_served_document_sends_clients_to_the_sandbox(name, version):
    document = rewritten(name, version, "http://127.0.0.1:1")
    assert document["rootUrl"] == "http://127.0.0.1:1/"
    assert document["baseUrl"] == "http://127.0.0.1:1/" + document["servicePath"]
