"""What is sold, and who carries it. Both are the same on any machine: Omnitron's world is made from them."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache

# Title, price in lira of the first variant, VAT percent. Prices end in odd kuruş so that discounts don't divide evenly.
GOODS = (
    ("Pamuklu Tişört", "129.90", 10),
    ("Keten Gömlek", "449.95", 10),
    ("Kot Pantolon", "699.99", 10),
    ("Yün Kazak", "799.50", 10),
    ("Yağmurluk", "1249.90", 10),
    ("Koşu Ayakkabısı", "1899.99", 10),
    ("Deri Cüzdan", "349.45", 20),
    ("Güneş Gözlüğü", "579.00", 20),
    ("Sırt Çantası", "899.90", 20),
    ("Çelik Termos", "419.95", 20),
    ("Porselen Çay Takımı", "1099.75", 20),
    ("Bakır Cezve", "289.90", 20),
    ("Nevresim Takımı", "949.99", 10),
    ("Bambu Havlu", "189.95", 10),
    ("Kablosuz Kulaklık", "2149.00", 20),
    ("Masa Lambası", "369.90", 20),
    ("Çocuk Kitabı", "84.50", 0),
    ("Ahşap Yapboz", "159.99", 20),
    ("Zeytinyağı 1 L", "329.90", 1),
    ("Türk Kahvesi 250 g", "139.45", 1),
)
VARIANTS = (("A", Decimal(0)), ("B", Decimal("10.05")), ("C", Decimal("24.99")))

# Code in the marketplace = erp_code in Omnitron, and the name on the parcel.
CARRIERS = (
    ("yurtici", "Yurtiçi Kargo"),
    ("aras", "Aras Kargo"),
    ("surat", "Sürat Kargo"),
    ("ptt", "PTT Kargo"),
    ("kervan-ekspres", "Kervan Ekspres"),
)
UNKNOWN_CARRIER = ("posta-guvercini", "Posta Güvercini")
UNKNOWN_PRODUCT = "KRV-00000"


@dataclass(frozen=True)
class Product:
    """One thing that can be bought; `id` is what an order's line names."""

    id: str
    barcode: str
    title: str
    price: Decimal
    vat_rate: int


@cache
def catalogue() -> tuple[Product, ...]:
    """All 60 products, in the order of their ids."""
    return tuple(
        Product(
            id=f"KRV-{number:03d}{letter}",
            barcode=f"299{number:07d}{place:03d}",  # 2… is for a shop's own numbers: no real article has it
            title=f"{title} {letter}",
            price=Decimal(price) + extra,
            vat_rate=vat,
        )
        for number, (title, price, vat) in enumerate(GOODS, start=101)
        for place, (letter, extra) in enumerate(VARIANTS)
    )
