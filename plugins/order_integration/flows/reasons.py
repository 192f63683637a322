"""The channel's reasons of a cancel and Omnitron's: `reason_mapping` in the channel's conf, read in both directions."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from order_integration.errors import ConfigurationError
from order_integration.exact_json import loads

MAPPING = "reason_mapping"  # the channel's code → pk of a cancellation reason; as an object, or as JSON text
FALLBACK = "cancellation_reason_id"  # for cancels that the channel made with a code that has no pk


@dataclass(frozen=True)
class ReasonMapping:
    """What a merchant set; read anew in each run."""

    pks: Mapping[str, int] = field(default_factory=dict)
    said_fallback: object = None  # read by who needs it: a wrong one stops nobody else

    @classmethod
    def of(cls, conf: Mapping[str, Any] | None) -> "ReasonMapping":
        """From the channel's conf.

        Raises ConfigurationError that names the key.
        """
        conf = conf or {}
        return cls(_pks(conf.get(MAPPING)), conf.get(FALLBACK))

    @property
    def fallback(self) -> int | None:
        """The reason of cancels whose code nobody has mapped.

        Raises ConfigurationError that names the key.
        """
        return None if self.said_fallback is None or self.said_fallback == "" else _pk(FALLBACK, self.said_fallback)

    def to_omnitron(self, code: str) -> int | None:
        """The reason of a code of the channel; None: nobody has mapped it. Nothing is guessed."""
        return self.pks.get(code)

    def to_channel(self, pk: int) -> str | None:
        """The code of a reason of Omnitron; None: nobody has mapped it.

        Raises ConfigurationError where two codes are mapped to it.
        """
        return self._codes(pk, [code for code, known in self.pks.items() if known == pk])

    def check_backwards(self) -> None:
        """What is read backwards in every run shall be clear before the first one.

        Raises ConfigurationError that names all codes of a reason that has several.
        """
        codes: dict[int, list[str]] = defaultdict(list)
        for code, pk in self.pks.items():
            codes[pk].append(code)
        for pk, found in codes.items():
            self._codes(pk, found)

    def _codes(self, pk: int, codes: list[str]) -> str | None:
        if len(codes) > 1:
            names = " and ".join(repr(code) for code in sorted(codes))
            raise ConfigurationError(
                f"{MAPPING}: {names} are both mapped to reason {pk}; it is not clear which the channel is to be told"
            )
        return codes[0] if codes else None


def _pks(said: object) -> dict[str, int]:
    if isinstance(said, str):
        try:
            said = loads(said) if said.strip() else None
        except ValueError:
            raise ConfigurationError(f"{MAPPING} in the channel's conf is not JSON: correct it in Omnitron") from None
    if said is None:
        return {}
    if not isinstance(said, dict):
        sentence = (
            f"{MAPPING} in the channel's conf is not a JSON object of the channel's codes: correct it in Omnitron"
        )
        raise ConfigurationError(sentence)
    return {str(code): _pk(f"{MAPPING}, {code!r}", pk) for code, pk in said.items()}


def _pk(name: str, said: object) -> int:
    """A whole number, or its digits as a text: the form has no field for numbers inside of JSON."""
    if isinstance(said, int) and not isinstance(said, bool):
        return said
    if isinstance(said, str) and said.strip().isascii() and said.strip().isdigit():
        return int(said)
    raise ConfigurationError(f"{name}: not the number of a cancellation reason; correct it in the channel's conf")
