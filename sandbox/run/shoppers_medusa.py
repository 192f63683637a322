"""Shoppers and couriers of the real Medusa server."""

from collections.abc import Mapping
from typing import Any

from sandbox.medusa import aftersales
from sandbox.medusa.client import Api, basic

REASON = "beden"
NOTE = "Beğenmedim"


class MedusaShop:
    """The stand's shop; `stand` is what the stand says of itself when it is up."""

    invoices = False
    cancels_on_request = False
    refuses = False
    takes_its_time = False

    def __init__(self, stand: Mapping[str, Any]) -> None:
        self._admin = Api(stand["base_url"], basic(stand["api_key"]))
        self._store = Api(stand["base_url"], {"x-publishable-api-key": stand["publishable_key"]})
        self._back = {"option_id": stand["return_option_id"], "location_id": stand["location_id"]}
        self._reason = next(one["id"] for one in stand["return_reasons"] if one["value"] == REASON)

    def close(self) -> None:
        self._admin.close()
        self._store.close()

    def cancel(self, order: str) -> None:
        aftersales.cancel_order(self._admin, order)

    def take_back(self, order: str, line: str, units: int) -> None:
        """An edit says how many are left."""
        lines = {one["id"]: one["quantity"] for one in aftersales.order(self._admin, order)["items"]}
        aftersales.take_back(self._admin, order, line, int(lines[line]) - units)

    def deliver(self, order: str) -> None:
        for parcel in aftersales.order(self._admin, order)["fulfillments"]:
            if parcel["shipped_at"] and not parcel["delivered_at"] and not parcel["canceled_at"]:
                aftersales.deliver(self._admin, order, parcel["id"])

    def ask_for_return(self, order: str, units: Mapping[str, int]) -> None:
        """What was paid has to be taken first: only that can be given back."""
        aftersales.capture(self._admin, order)
        aftersales.open_return(self._store, order, units, reason_id=self._reason, note=NOTE, **self._back)

    def invoice(self, order: str, number: str) -> None:
        raise NotImplementedError("Medusa writes no invoices")

    def ask_for_cancel(self, order: str, line: str) -> None:
        raise NotImplementedError("shoppers of Medusa can't ask for a cancel")

    def refuse_next(self, order: str) -> None:
        raise NotImplementedError("Medusa refuses nothing on demand")

    def work(self, *, awaited: bool) -> None:
        """Its workflows work by themselves."""
