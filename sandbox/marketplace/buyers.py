"""People who buy: Turkish names, addresses that exist, and nobody's e-mail or phone.

Everything is drawn from a `random.Random` of its own instead of a Faker object: same seed, same person, in any thread.
"""

import random
from typing import Any

from faker.providers.person.tr_TR import Provider as People

from sandbox.marketplace.places import place

REGULARS = 40  # buyers who come again and again
STREETS = (
    "Gül",
    "Lale",
    "Menekşe",
    "Çınar",
    "Zeytin",
    "Barış",
    "İnönü",
    "Şehitler",
    "Ilıca",
    "Öğretmenler",
    "Üzüm Bağı",
)
KINDS_OF_STREET = ("Sk.", "Cad.", "Blv.", "Çıkmazı")
TRADES = ("Tekstil", "Yazılım", "Mobilya", "Gıda", "İnşaat", "Kırtasiye", "Ambalaj", "Danışmanlık")
FORMS = ("A.Ş.", "Ltd. Şti.", "San. ve Tic. Ltd. Şti.")
# A Turkish mobile number goes on with 2 … 9 after these; with 0 it is well-formed and nobody's.
PREFIXES = ("532", "542", "555", "505", "538")
UNKNOWN_CITIZEN = "1" * 11  # what Turkish shops write where no identity number was asked for
ASCII = str.maketrans("çğıöşüâîûÇĞİÖŞÜÂÎÛ", "cgiosuaiucgiosuaiu")

Json = dict[str, Any]


def buyer(seed: int, number: int) -> Json:
    """The buyer of that number; 1 … REGULARS come again, the others once."""
    rng = random.Random(f"{seed}:buyer:{number}")
    first, last = rng.choice(People.first_names), rng.choice(People.last_names)
    if rng.random() < 0.15:
        first = f"{first} {rng.choice(People.first_names)}"
    return {
        "buyerId": number,
        "name": first,
        "surname": last,
        "email": f"{mailbox(first)}.{mailbox(last)}.{number}@example.{rng.choice(('com', 'org', 'net'))}",
        "phone": phone(number),
    }


def mailbox(name: str) -> str:
    """Letters alone: some names end in a dot, and two in a row are no address."""
    return "".join(letter for letter in name.translate(ASCII).lower() if letter.isalpha())


def phone(number: int) -> str:
    """A well-formed number that nobody has; unique among five million buyers in a row."""
    return f"+90{PREFIXES[number % 5]}0{number // 5 % 1_000_000:06d}"


def address(rng: random.Random, who: Json) -> Json:
    """Somewhere for `who` to live."""
    somewhere = place(rng)
    street = f"{rng.choice(STREETS)} {rng.choice(KINDS_OF_STREET)}"
    return {
        "label": rng.choice(("Ev", "İş", "Annem", None)),
        "name": who["name"],
        "surname": who["surname"],
        "phone": who["phone"],
        "countryCode": "TR",
        "province": somewhere.province,
        "township": somewhere.township,
        "neighbourhood": somewhere.district,
        "street": f"{street} No: {rng.randint(1, 180)} D: {rng.randint(1, 40)}",
        "postcode": somewhere.postcode,
        "identityNo": UNKNOWN_CITIZEN,
        "company": None,
    }


def home(seed: int, number: int) -> Json:
    """Where the buyer of that number has always lived."""
    return address(random.Random(f"{seed}:home:{number}"), buyer(seed, number))


def company(rng: random.Random, town: str) -> Json:
    """Whom to make the invoice out to; the number starts with 0, which no tax office gives."""
    return {
        "name": f"{rng.choice(People.last_names)} {rng.choice(TRADES)} {rng.choice(FORMS)}",
        "taxOffice": f"{town} Vergi Dairesi",
        "taxNo": f"0{rng.randint(0, 10**9 - 1):09d}",
        "eInvoice": rng.random() < 0.5,
    }
