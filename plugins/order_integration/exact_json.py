"""JSON as both sides and staging use it. Airflow imports it with every DAG, so it stays clear of the HTTP client."""

import re
from decimal import InvalidOperation
from typing import Any

import simplejson

Json = Any
SURROGATE = re.compile("[\ud800-\udfff]")


def dumps(value: Json) -> str:
    """JSON text with decimals to the last digit. Half a character (a lone surrogate) is escaped: no file takes it."""
    text = simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def loads(text: str | bytes) -> Json:
    """JSON with `Decimal` for every number that has a point: a float would lose digits.

    Raises ValueError for all that is none, or that only somebody hostile writes.
    """
    try:
        return simplejson.loads(text, use_decimal=True, allow_nan=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except InvalidOperation:
        raise ValueError("an exponent too large") from None
