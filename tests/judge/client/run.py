"""`python run.py FLOW`: one flow of the existing client."""

import sys

from lend import lend

FLOWS = {
    "fetch_orders": lambda service: service.fetch_and_create_order(),
    "update_orders": lambda service: service.update_orders(is_sync=True, add_order_items=True),
    "cancel_orders": lambda service: service.fetch_and_create_cancel(),
    "update_order_items": lambda service: service.fetch_and_update_order_items(),
    "cancellation_requests": lambda service: service.fetch_and_create_cancellation_requests(),
}

if __name__ == "__main__":
    lend()
    from channel_app.app.order.service import OrderService

    FLOWS[sys.argv[1]](OrderService())
