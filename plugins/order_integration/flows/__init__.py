"""The middle: one module a flow, plain functions, no Airflow."""

FETCH_ORDERS = "fetch_orders"

# From a channel to Omnitron: what of their records can't be used, or has to wait, is kept in staging.
INBOUND = (
    FETCH_ORDERS,
    "fetch_and_create_cancel",
    "fetch_and_update_order_items",
    "fetch_and_create_cancellation_requests",
)
