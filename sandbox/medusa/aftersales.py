"""What happens to an order after it was placed, as shoppers, the shop and its warehouse do it: over HTTP.

`admin` is an `Api` with the secret key (`basic(api_key)`), `store` one with the header `x-publishable-api-key`.
"""

from collections.abc import Mapping

from sandbox.medusa.client import Api, Json

NO_LINK = "#"  # Medusa wants two links with every tracking number
ORDER_FIELDS = "id,display_id,status,version,created_at,total,*items,*items.detail,*fulfillments,*fulfillments.labels"


def orders(admin: Api) -> list[Json]:
    """All of the shop's orders, the first one first, with lines and fulfillments."""
    found = admin.get("/admin/orders", limit=1000, order="id", fields=f"{ORDER_FIELDS},*fulfillments.items")["orders"]
    return list(found)


def order(admin: Api, order_id: str) -> Json:
    """One order as it is now."""
    answer = admin.get(f"/admin/orders/{order_id}", fields=f"{ORDER_FIELDS},*fulfillments.items")
    return dict(answer["order"])


def cancel_order(admin: Api, order_id: str) -> None:
    """The shop cancels the whole order; Medusa refuses it once something was packed."""
    admin.post(f"/admin/orders/{order_id}/cancel")


def take_back(admin: Api, order_id: str, line_id: str, left: int) -> None:
    """The shop edits the order: `left` units of a line stay, which may be none."""
    admin.post("/admin/order-edits", {"order_id": order_id})
    admin.post(f"/admin/order-edits/{order_id}/items/item/{line_id}", {"quantity": left})
    admin.post(f"/admin/order-edits/{order_id}/request")
    admin.post(f"/admin/order-edits/{order_id}/confirm")


def pack(admin: Api, order_id: str, units: Mapping[str, int], location_id: str) -> str:
    """The warehouse packs units of lines into a parcel; its id."""
    lines = [{"id": line, "quantity": quantity} for line, quantity in units.items()]
    before = {one["id"] for one in order(admin, order_id)["fulfillments"]}
    admin.post(f"/admin/orders/{order_id}/fulfillments", {"items": lines, "location_id": location_id})
    return next(str(one["id"]) for one in order(admin, order_id)["fulfillments"] if one["id"] not in before)


def ship(admin: Api, order_id: str, parcel: str, tracking_number: str) -> None:
    """The courier takes a parcel with him."""
    packed = next(one for one in order(admin, order_id)["fulfillments"] if one["id"] == parcel)
    lines = [{"id": one["line_item_id"], "quantity": one["quantity"]} for one in packed["items"]]
    label = {"tracking_number": tracking_number, "tracking_url": NO_LINK, "label_url": NO_LINK}
    admin.post(f"/admin/orders/{order_id}/fulfillments/{parcel}/shipments", {"items": lines, "labels": [label]})


def deliver(admin: Api, order_id: str, parcel: str) -> None:
    """The courier says that he handed a parcel over."""
    admin.post(f"/admin/orders/{order_id}/fulfillments/{parcel}/mark-as-delivered")


def cancel_parcel(admin: Api, order_id: str, parcel: str) -> None:
    """The warehouse unpacks a parcel that was not shipped yet."""
    admin.post(f"/admin/orders/{order_id}/fulfillments/{parcel}/cancel")


def return_reasons(admin: Api) -> dict[str, str]:
    """Why something may be sent back: the codes and Medusa's ids of them."""
    found = admin.get("/admin/return-reasons", limit=1000)["return_reasons"]
    return {str(one["value"]): str(one["id"]) for one in found}


def open_return(
    store: Api,
    order_id: str,
    units: Mapping[str, int],
    *,
    reason_id: str,
    option_id: str,
    location_id: str,
    note: str = "",
) -> str:
    """A shopper wants to send units of lines back; the return's id. Only what was shipped can be."""
    body = {
        "order_id": order_id,
        "items": [
            {"id": line, "quantity": quantity, "reason_id": reason_id, "note": note} for line, quantity in units.items()
        ],
        "return_shipping": {"option_id": option_id},
        "location_id": location_id,  # without it the return can't be received later
    }
    return str(store.post("/store/returns", body)["return"]["id"])


def capture(admin: Api, order_id: str) -> None:
    """The shop takes the money that was only promised so far."""
    answer = admin.get(f"/admin/orders/{order_id}", fields="*payment_collections.payments")
    for collection in answer["order"]["payment_collections"]:
        for payment in collection["payments"]:
            if not payment["captured_at"]:
                admin.post(f"/admin/payments/{payment['id']}/capture")
