"""Orders as shoppers place them: through the store API, from the cart to the payment.

Order number i is always the same order and carries i in its metadata, so that a second run places what is missing.
"""

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

from sandbox.medusa.catalogue import PROMOTIONS, Shop, prices_include_tax
from sandbox.medusa.client import Api, Json, bearer, token
from sandbox.medusa.errors import StandError
from sandbox.medusa.shoppers import SEED, Shopper, shopper

MARK = "stand_order"
AT_ONCE = 4  # the server has one process: more would only queue
RETURNING_EVERY = 4  # so often the buyer of an earlier order is back


@dataclass(frozen=True)
class Order:
    number: int
    buyer: Shopper
    lines: list[tuple[int, int]]  # which variant, how many
    carrier: int
    promotion: str | None

    @property
    def tax_inclusive(self) -> bool:
        """Half of the orders were placed while the shop's prices included the tax."""
        return self.number % 2 == 1

    @property
    def is_first_of_buyer(self) -> bool:
        return self.number == self.buyer.number


def order(number: int, variants: int, carriers: int) -> Order:
    """Always the same order for a number."""
    chance = random.Random(f"{SEED}/order/{number}")
    returning = number % RETURNING_EVERY == RETURNING_EVERY - 1
    chosen = chance.sample(range(variants), chance.choice((1, 1, 2, 2, 3)))
    return Order(
        number=number,
        buyer=shopper(number - chance.choice((2, 3)) if returning else number),
        lines=[(variant, chance.choice((1, 1, 2, 3, 3, 7))) for variant in chosen],
        carrier=chance.randrange(carriers),
        promotion=chance.choice((None, None, *PROMOTIONS)),
    )


class Checkout:
    """Places orders in one shop; every shopper with an account is signed up once."""

    def __init__(self, store: Api, shop: Shop, password: str) -> None:
        self._store = store
        self._shop = shop
        self._password = password
        self._signed_in: dict[int, Api] = {}

    def place(self, wanted: Order) -> None:
        buyer, shop = wanted.buyer, self._shop
        api = self._signed_in.get(buyer.number, self._store)
        cart = {
            "region_id": shop.region_id,
            "email": buyer.email,
            "items": [{"variant_id": shop.variants[which]["id"], "quantity": units} for which, units in wanted.lines],
            "shipping_address": buyer.home,
            "billing_address": buyer.company or buyer.home,
            "promo_codes": [wanted.promotion] if wanted.promotion else [],
            "metadata": {MARK: wanted.number},
        }
        cart_id = api.post("/store/carts", cart)["cart"]["id"]
        option = {"option_id": shop.shipping_option_ids[wanted.carrier]}
        api.post(f"/store/carts/{cart_id}/shipping-methods", option)
        payment = api.post("/store/payment-collections", {"cart_id": cart_id})["payment_collection"]["id"]
        api.post(f"/store/payment-collections/{payment}/payment-sessions", {"provider_id": "pp_system_default"})
        answer = api.post(f"/store/carts/{cart_id}/complete")
        if answer["type"] != "order":
            raise StandError(f"Medusa did not complete the cart of order {wanted.number}: {answer.get('error')}")

    def sign_in(self, people: Iterable[Shopper]) -> None:
        """An account for each of them that has none yet."""
        for one in people:
            if one.is_registered and one.number not in self._signed_in:
                self._signed_in[one.number] = self._store.with_headers(bearer(self._token(one)))

    def close(self) -> None:
        for api in self._signed_in.values():
            api.close()

    def _token(self, one: Shopper) -> str:
        login = {"email": one.email, "password": self._password}
        try:
            registration = self._store.post("/auth/customer/emailpass/register", login)["token"]
        except StandError:  # from an earlier run
            return token(self._store, "customer", one.email, self._password)
        names = {"first_name": one.first_name, "last_name": one.last_name, "phone": one.phone}
        newcomer = self._store.with_headers(bearer(registration))
        newcomer.post("/store/customers", {"email": one.email, **names})
        newcomer.close()
        return token(self._store, "customer", one.email, self._password)


def place_missing(admin: Api, store: Api, shop: Shop, password: str, wanted: int, say: Callable[[str], None]) -> int:
    """Place those of the first `wanted` orders that are not there yet; returns how many were placed."""
    there = placed_numbers(admin)
    missing = [
        order(number, len(shop.variants), len(shop.shipping_option_ids))
        for number in range(wanted)
        if number not in there
    ]
    checkout = Checkout(store, shop, password)
    checkout.sign_in(one.buyer for one in missing)
    done = 0
    # Medusa refuses two carts at once of a buyer that it doesn't know yet, so who is back comes in a wave of their own.
    for inclusive, first in product((False, True), (True, False)):
        wave = [one for one in missing if (one.tax_inclusive, one.is_first_of_buyer) == (inclusive, first)]
        if wave:
            prices_include_tax(admin, inclusive)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(checkout.place, wave):
                done += 1
                if done % 10 == 0 or done == len(missing):
                    say(f"{done} of {len(missing)} orders placed")
    checkout.close()
    return done


def placed_numbers(admin: Api) -> set[int]:
    """The numbers of the stand's orders that Medusa has."""
    found: set[int] = set()
    page: list[Json] = []
    while True:
        after = {"id[$gt]": page[-1]["id"]} if page else {}
        page = admin.get("/admin/orders", limit=500, order="id", fields="id,metadata", **after)["orders"]
        if not page:
            return found
        found |= {int(one["metadata"][MARK]) for one in page if MARK in (one["metadata"] or {})}
