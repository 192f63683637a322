import pytest


def one(rows):
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize("spelling", ["İstanbul", "İSTANBUL", "istanbul"])
def test_a_city_is_found_in_any_turkish_case(omnitron, spelling):
    assert one(omnitron.rows("cities", name__iexact=spelling, is_active="True"))["name"] == "İstanbul"


def test_dotted_and_dotless_i_are_two_letters(omnitron):
    assert one(omnitron.rows("cities", name__iexact="IĞDIR"))["name"] == "Iğdır"
    assert omnitron.rows("cities", name__iexact="ISTANBUL") == []


def test_turkey_is_found_by_code_and_by_name(omnitron):
    by_code = one(omnitron.rows("countries", code__exact="TR", is_active="True"))

    assert by_code["name"] == "Türkiye"
    assert one(omnitron.rows("countries", name__exact="Türkiye")) == by_code
    assert omnitron.rows("countries", name__exact="türkiye") == []


def test_a_township_and_a_district_are_found_below_their_city(omnitron):
    city = one(omnitron.rows("cities", name__iexact="istanbul"))
    township = one(omnitron.rows("townships", name__iexact="kadıköy", country=city["country"], city=city["pk"]))
    place = {"country": city["country"], "city": city["pk"], "township": township["pk"]}

    assert one(omnitron.rows("districts", name__exact="Caferağa Mah", **place))["township"] == township["pk"]
    assert omnitron.rows("townships", name__iexact="kadıköy", country=1, city=city["pk"]) == []


def test_every_province_is_there(omnitron):
    counts = omnitron.get("/admin/counts").json()

    assert (counts["cities"], counts["townships"]) == (81, 973)
    assert counts["districts"] > 30_000
    assert counts["countries"] > 200


def test_a_mapping_leads_from_the_channels_name_to_the_city(omnitron):
    mapping = {"mapping__code__exact": "1_Stamboul", "mapping__integration_type": "sales_channel"}

    assert one(omnitron.rows("cities", **mapping))["name"] == "İstanbul"
    assert omnitron.rows("cities", **{**mapping, "mapping__code__exact": "2_Stamboul"}) == []
    assert omnitron.rows("townships", **mapping) == []


def test_stores_and_carriers_are_found_by_their_erp_code(omnitron):
    assert one(omnitron.rows("retail_stores", erp_code="S1"))["name"] == "Kadıköy"
    carrier = one(omnitron.rows("cargos"))
    assert (carrier["erp_code"], carrier["shipping_company"]) == ("yurtici", "yurtici")
    assert omnitron.get(f"{omnitron.channel}/cargos/{carrier['pk']}/").json() == carrier
