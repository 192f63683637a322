"""Places in Turkey that exist, so that an address can be found in Omnitron."""

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

TABLE = Path(__file__).parents[1] / "omnitron" / "locations" / "locations.json.gz"


class Place(NamedTuple):
    """A district (mahalle), and the township (ilçe) and province (il) that it is in."""

    province: str
    township: str
    district: str | None
    postcode: str


@cache
def _townships() -> tuple[tuple[str, str, str, tuple[str, ...]], ...]:
    """Plate code, province, township and its districts; a name that a township has twice would be ambiguous."""
    table = json.loads(gzip.decompress(TABLE.read_bytes()))
    return tuple(
        (code, province, township, tuple(name for name, times in Counter(districts).items() if times == 1))
        for code, province, townships in table["provinces"]
        for township, districts in townships.items()
    )


def place(rng: Random) -> Place:
    """Any township is as likely as any other; a tenth of the people leave their district out."""
    code, province, township, districts = rng.choice(_townships())
    known = rng.choice(districts) if districts and rng.random() < 0.9 else None
    return Place(province, township, known, f"{code}{rng.randint(1, 99):02d}0")
