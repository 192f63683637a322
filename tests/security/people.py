"""One invented person, each of whose data is a marker, and all that a channel may say of that person."""

from typing import Any

from tests.shelf import address, customer, item, order

# Nobody's: no such names, a number of no network, addresses that are kept for examples.
PERSON = {
    "name": "Zübeydekanarya",
    "surname": "Kanaryağızoğlu",
    "e-mail": "zq.kanarya.mailbox",
    "phone": "5359041773",
    "address line": "Gizlikanarya Sokağı 7",
    "address title": "Evkanaryamın adı",
    "address notes": "Kapıkanarya şifresi",
    "postcode": "PK-73491-773",
    "tax number": "1094217739",
    "tax office": "Sızıntıkanarya VD",
    "identity number": "34190417739",
    "company": "Kanaryatek Sızıntı AŞ",
    "note": "zili çalma kanaryacık",
    "gift note": "iyi ki doğdun kanaryam",
    "IP address": "198.51.100.177",
    "customer code": "müşteri-kanarya-zq",
    "extra field": "ekalankanarya değeri",
    "shopper's words": "kolu kısa geldi kanaryam",
    "broken field": "bozukkanarya alanı",
}
SECRETS = {
    "password": "zq7-Kanarya-Parola",
    "API key": "zq7-Kanarya-Anahtar",
    "secret in extra": "zq7-Kanarya-Ekstra",
}
ECHO = " | ".join(PERSON.values())  # what a server that quotes the request answers
PAGE = f"<html><body><h1>Bad gateway</h1><pre>{ECHO}</pre></body></html>"


def email(key: str) -> str:
    return f"{PERSON['e-mail']}.{key}@example.com"


def buyer(key: str, **own: Any) -> dict[str, Any]:
    who = {"first_name": PERSON["name"], "last_name": PERSON["surname"], "phone_number": f"+90{PERSON['phone']}"}
    code, extra = f"{PERSON['customer code']}-{key}", {"said": PERSON["extra field"]}
    return customer(**{"email": email(key), **who, "channel_code": code, "extra_field": extra, **own})


def home(key: str, **own: Any) -> dict[str, Any]:
    who = {"first_name": PERSON["name"], "last_name": PERSON["surname"], "phone_number": f"+90{PERSON['phone']}"}
    where = {
        "line": PERSON["address line"],
        "title": PERSON["address title"],
        "notes": PERSON["address notes"],
        "postcode": PERSON["postcode"],
        "tax_no": PERSON["tax number"],
        "tax_office": PERSON["tax office"],
        "identity_number": PERSON["identity number"],
        "company_name": PERSON["company"],
        "extra_field": {"said": PERSON["extra field"]},
    }
    return address(**{"email": email(key), **who, **where, **own})


def bought(key: str, **own: Any) -> dict[str, Any]:
    """An order in which every field that can is a marker."""
    said = {
        "notes": PERSON["note"],
        "gift_box_note": PERSON["gift note"],
        "has_gift_box": True,
        "remote_addr": PERSON["IP address"],
        "extra_field": {"said": PERSON["extra field"]},
    }
    parts = {"customer": buyer(key), "shipping_address": home(key), "billing_address": home(key)}
    return order(key, **{**parts, **said, **own})


def good_and_bad() -> list[dict[str, Any]]:
    """Two that pass, and one for each way in which a record's own values are what is wrong with it."""
    broken = PERSON["broken field"]
    return [
        bought("1"),
        bought("2", notes=f"{PERSON['note']} " * 40, shipping_address=home("2", title=PERSON["address title"] * 10)),
        bought("3", customer=buyer("3", email=f"{PERSON['e-mail']} at example")),
        bought("4", customer=buyer("4", phone_number=broken)),
        bought("5", billing_address=home("5", line=PERSON["address line"] * 40)),
        bought("6", billing_address=home("6", **{broken: PERSON["name"]})),
        bought("7", remote_addr=PERSON["IP address"] * 9),
        bought("8", customer={PERSON["name"]: PERSON["surname"]}),
        bought("9", amount=broken),
        bought("10", created_at=broken),
        bought("11", currency=broken),
        bought("12", items=[]),
        bought("13", items=[item("13", extra_field={"said": PERSON["extra field"]}, tax_rate=broken)]),
        bought("14", customer=buyer("14", first_name=PERSON["name"] + "\ud83d")),
        bought("15", delivery_range={PERSON["surname"]: broken}),
        bought("18", billing_address=home("18", city="Nowhere")),
        bought("19", items=[item("19", product="none")]),
        {**bought("16"), "dto": {"order": f"{PERSON['name']} {PERSON['surname']}"}},
        {**bought("17"), "dto": [PERSON["name"]]},
    ]
