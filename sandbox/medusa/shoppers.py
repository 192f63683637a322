"""Who buys, and where they live: the same people in every run, at real places, with addresses nobody has."""

import random
from dataclasses import dataclass
from functools import lru_cache

from faker import Faker

from sandbox.medusa.client import Json

SEED = 1923
REGISTERED_EVERY = 5
# Province, township, district, postcode.
PLACES = (
    ("İstanbul", "Kadıköy", "Caferağa", "34710"),
    ("İstanbul", "Şişli", "Teşvikiye", "34365"),
    ("İstanbul", "Üsküdar", "Altunizade", "34662"),
    ("Ankara", "Çankaya", "Kızılay", "06420"),
    ("Ankara", "Keçiören", "Etlik", "06010"),
    ("İzmir", "Karşıyaka", "Bostanlı", "35590"),
    ("İzmir", "Bornova", "Erzene", "35040"),
    ("Bursa", "Nilüfer", "İhsaniye", "16130"),
    ("Antalya", "Muratpaşa", "Meltem", "07030"),
    ("Adana", "Seyhan", "Reşatbey", "01120"),
    ("Eskişehir", "Odunpazarı", "Vişnelik", "26020"),
    ("Muğla", "Bodrum", "Gümbet", "48960"),
    ("Şanlıurfa", "Haliliye", "Bahçelievler", "63320"),
    ("Iğdır", "Merkez", "Bağlar", "76000"),
)
STREETS = ("Çınar Sok.", "Gül Sok.", "Atatürk Cad.", "Lale Sok.", "İnönü Cad.", "Ihlamur Sok.", "Öğretmen Cad.")
ASCII = str.maketrans("çğıöşüâîûÇĞİÖŞÜ", "cgiosuaiuCGIOSU")


@dataclass(frozen=True)
class Shopper:
    number: int
    first_name: str
    last_name: str
    email: str
    phone: str
    home: Json
    company: Json | None  # where the bill goes, when it isn't home

    @property
    def is_registered(self) -> bool:
        return self.number % REGISTERED_EVERY == 0


@lru_cache(maxsize=4096)
def shopper(number: int) -> Shopper:
    """Always the same person for a number."""
    chance = random.Random(f"{SEED}/{number}")
    names = Faker("tr_TR")
    names.seed_instance(SEED * 100_000 + number)
    first, last = names.first_name(), names.last_name()
    nick = f"{first}.{last}".translate(ASCII).lower().replace(" ", "")
    person = {
        "first_name": first,
        "last_name": last,
        "phone": f"+90 555 000 {number // 100 % 100:02d} {number % 100:02d}",
    }
    company = {**person, **_place(chance), "company": f"{last} Ticaret Ltd. Şti."} if chance.random() < 0.3 else None
    return Shopper(
        number=number,
        first_name=first,
        last_name=last,
        email=f"{nick}.{number}@example.{chance.choice(('com', 'org'))}",
        phone=person["phone"],
        home={**person, **_place(chance)},
        company=company,
    )


def _place(chance: random.Random) -> Json:
    province, township, district, postcode = chance.choice(PLACES)
    street, house, flat = chance.choice(STREETS), chance.randint(1, 120), chance.randint(1, 30)
    return {
        "address_1": f"{district} Mah. {street} No: {house}/{flat}",
        "city": township,
        "province": province,
        "postal_code": postcode,
        "country_code": "tr",
    }
