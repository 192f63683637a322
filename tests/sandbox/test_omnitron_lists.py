import pytest


def test_a_list_is_paged_by_ten_with_links(omnitron):
    first = omnitron.get(f"{omnitron.channel}/cities/", params={"sort": "id", "is_active": "True"}).json()
    second = omnitron.get(first["next"]).json()

    assert (first["count"], len(first["results"]), first["previous"]) == (81, 10, None)
    assert second["results"][0]["pk"] == first["results"][-1]["pk"] + 1
    assert "is_active=True" in first["next"]
    assert omnitron.get(second["previous"]).json() == first


def test_a_page_holds_500_at_most(omnitron):
    assert len(omnitron.rows("districts", limit=100000)) == 500


def test_the_last_page_has_no_next_and_the_one_after_it_is_not_there(omnitron):
    last = omnitron.get(f"{omnitron.channel}/cities/", params={"page": 9}).json()

    assert (len(last["results"]), last["next"]) == (1, None)
    assert omnitron.get(f"{omnitron.channel}/cities/", params={"page": 10}).status_code == 404


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30])
def test_a_page_that_is_none_answers_404(omnitron, page):
    assert omnitron.get(f"{omnitron.channel}/cities/", params={"page": page}).status_code == 404


def test_sorting_is_by_id_or_dates_and_nothing_else(omnitron):
    for code in ("a", "b", "c"):
        omnitron.customer(code)
    omnitron.change(f"customers/{omnitron.rows('customers', email='a@example.com')[0]['pk']}", first_name="Can")

    codes = {
        sort: [row["channel_code"] for row in omnitron.rows("customers", sort=sort)]
        for sort in ("id", "-id", "modified_date", "-created_date")
    }

    assert codes == {
        "id": ["a", "b", "c"], "-id": ["c", "b", "a"], "modified_date": ["b", "c", "a"],
        "-created_date": ["c", "b", "a"],
    }  # fmt: skip
    assert omnitron.get(f"{omnitron.channel}/customers/", params={"sort": "email"}).status_code == 400


def test_filters_are_anded_and_a_repeated_one_is_ored(omnitron):
    first, second = omnitron.batch(), omnitron.batch()
    omnitron.move(first, "fail")

    assert len(omnitron.rows("batch_requests", status=["fail", "initialized"])) == 2
    assert [row["pk"] for row in omnitron.rows("batch_requests", status="initialized", channel=1)] == [second["pk"]]
    assert omnitron.rows("batch_requests", status="initialized", channel=2) == []


def test_dates_compare_and_an_in_takes_a_list(omnitron):
    a, b, c = (omnitron.customer(code) for code in "abc")

    def codes(**query):
        return [row["channel_code"] for row in omnitron.rows("customers", sort="id", **query)]

    assert codes(created_date__gt=a["created_date"]) == ["b", "c"]
    assert codes(created_date__lte=b["created_date"]) == ["a", "b"]
    assert codes(pk__in=f"{a['pk']},{c['pk']}") == ["a", "c"]
    assert codes(created_date__date=a["created_date"][:10]) == ["a", "b", "c"]
    assert codes(email__startswith="b@") == ["b"]
    assert codes(pk__in="") == []


def test_an_unknown_filter_is_ignored_and_noted_or_refused_where_the_switch_says_so(omnitron):
    made, _ = omnitron.order("N1")
    omnitron.order("N2")

    ignored = omnitron.rows("orders", id__in=str(made["pk"]))
    noted = omnitron.get("/admin/ignored_filters").json()
    omnitron.switch(strict_filters=True)
    refused = omnitron.get(f"{omnitron.channel}/orders/", params={"id__in": "1"})

    assert len(ignored) == 2
    assert {"path": "api/v1/channel/1/orders/", "parameter": "id__in", "times": 1} in noted
    assert refused.status_code == 400


def test_remote_id_alone_is_no_filter_of_integration_actions(omnitron):
    assert len(omnitron.rows("integration_actions", remote_id="SKU-1")) == 2
    assert len(omnitron.rows("integration_actions", remote_id__exact="SKU-1")) == 1


@pytest.mark.parametrize(
    "query", [{"is_active": "perhaps"}, {"country": "x"}, {"created_date__gt": "yesterday"}, {"pk__in": "1,x"}]
)
def test_a_filter_value_that_makes_no_sense_answers_400_naming_it(omnitron, query):
    answer = omnitron.get(f"{omnitron.channel}/cities/", params=query)

    assert answer.status_code == 400
    assert set(query) < set(answer.json())
