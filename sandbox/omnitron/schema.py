"""The tables: plain names, the API's field names as columns, so that a checker can read the file without this code.

A column is text unless its kind says otherwise: ``int``, ``bool`` (0/1), ``json`` (as text), ``money`` (as text with
two decimals) and ``date`` (ISO 8601 in UTC with microseconds, so that text order is time order).
"""

from dataclasses import dataclass, field

DATES = " created_date:date modified_date:date"


@dataclass(frozen=True)
class Table:
    """A table; pks start at ``first``, so that an id of the wrong kind is not there instead of being another one's."""

    name: str
    columns: dict[str, str]
    first: int = 1
    unique: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    json_columns: tuple[str, ...] = field(default=())
    bool_columns: tuple[str, ...] = field(default=())

    def ddl(self) -> list[str]:
        affinity = {"int": "INTEGER", "bool": "INTEGER"}
        columns = [f'"{name}" {affinity.get(kind, "TEXT")}' for name, kind in self.columns.items()]
        statements = [f"CREATE TABLE IF NOT EXISTS {self.name} (pk INTEGER PRIMARY KEY, {', '.join(columns)})"]
        for number, index in enumerate(self.unique + self.indexes):
            unique = "UNIQUE " if number < len(self.unique) else ""
            quoted = ", ".join(f'"{column}"' for column in index.split())
            statements.append(f"CREATE {unique}INDEX IF NOT EXISTS {self.name}_{number} ON {self.name} ({quoted})")
        return statements


def _table(
    name: str, columns: str, *, first: int = 1, unique: tuple[str, ...] = (), indexes: tuple[str, ...] = (),
    hidden: str = "",
) -> Table:  # fmt: skip
    kinds = {column: kind or "text" for column, _, kind in (part.partition(":") for part in columns.split())}
    return Table(
        name, kinds, first, unique, indexes, frozenset(hidden.split()),
        tuple(column for column, kind in kinds.items() if kind == "json"),
        tuple(column for column, kind in kinds.items() if kind == "bool"),
    )  # fmt: skip


_PLACE = "is_active:bool translations:json" + DATES + " name_folded"

_TABLES = (
    _table("users", "username password token", unique=("username", "token")),
    _table("world_entries", "kind key digest", unique=("kind key",)),
    _table(
        "channels",
        "name channel_type catalog:int category_tree:int is_active:bool conf:json schema:json" + DATES,
    ),
    _table(
        "catalogs",
        "name price_list:int stock_list:int category_tree:int priority_list:int extra_price_lists:json "
        "extra_stock_lists:json" + DATES,
    ),
    _table("price_lists", "name" + DATES),
    _table("stock_lists", "name" + DATES),
    _table("content_types", "app_label model", unique=("model",)),
    _table("products", "sku name is_active:bool" + DATES, first=301, unique=("sku",)),
    _table("cargos", "name erp_code shipping_company" + DATES, first=11, unique=("erp_code",)),
    _table(
        "retail_stores",
        "name erp_code city:int township:int district:int address phone_number is_active:bool click_and_collect:bool "
        "channels:json latitude longitude store_hours:json" + DATES,
        first=51,
        unique=("erp_code",),
    ),
    _table(
        "cancellation_reasons",
        "cancellation_type extra_information_needed:bool order:int subject is_active:bool send_to_remote:bool "
        "send_to_oms:bool translations:json uuid" + DATES,
    ),
    _table("countries", "name code " + _PLACE, hidden="name_folded", unique=("code",), indexes=("name_folded",)),
    _table(
        "cities",
        "name country:int priority:int postcode " + _PLACE,
        first=401,
        hidden="name_folded",
        indexes=("name_folded", "country"),
    ),
    _table("townships", "name city:int postcode " + _PLACE, first=1001, hidden="name_folded",
           indexes=("name_folded", "city")),
    _table("districts", "name city:int township:int postcode zipcode " + _PLACE, first=20001, hidden="name_folded",
           indexes=("name_folded", "township")),
    _table(
        "location_mappings",
        "level object_id:int integration_type code" + DATES,
        unique=("level integration_type code",),
    ),
    _table(
        "customers",
        "channel:int email first_name last_name phone_number is_active:bool channel_code erp_code extra_field:json "
        "attributes:json attributes_kwargs:json localized_attributes:json localized_attributes_kwargs:json "
        "email_allowed:bool sms_allowed:bool call_allowed:bool gender user_type date_of_birth date_joined:date" + DATES,
        first=5001,
        unique=("channel email", "channel channel_code"),
        indexes=("channel phone_number",),
    ),
    _table(
        "addresses",
        "email phone_number first_name last_name customer:int country:int city:int township:int district:int line "
        "title postcode notes company_name tax_office tax_no e_bill_taxpayer:bool identity_number remote_id "
        "extra_field:json retail_store:int address_type hash_data is_active:bool" + DATES,
        first=7001,
        unique=("hash_data",),
        indexes=("customer",),
    ),
    _table(
        "orders",
        "number channel:int status date_placed:date customer:int shipping_address:int billing_address:int currency "
        "amount:money shipping_amount:money shipping_tax_rate:money discount_amount:money net_shipping_amount:money "
        "shipping_interest_amount:money installment_interest_amount:money refund_amount:money "
        "discount_refund_amount:money shipping_refund_amount:money extra_field:json payment_option:int "
        "payment_option_slug bin_number installment installment_count:int delivery_type cargo_company:int "
        "invoice_number invoice_date e_archive_url is_send:bool tracking_number carrier_shipping_code remote_addr "
        "has_gift_box:bool gift_box_note client_type language_code notes delivery_range:json shipping_option_slug "
        "cancel_status cancellation_info external_status segment" + DATES,
        first=10001,
        unique=("channel number",),
        indexes=("channel modified_date", "customer"),
    ),
    _table(
        "order_items",
        "channel:int order:int product:int price_list:int stock_list:int status price_currency price:money "
        "retail_price:money tax_rate:money discount_amount:money quantity:int unit_price:money total_price:money "
        "extra_field:json shipping_company shipment_code cancel_status is_tradable:bool "
        "installment_interest_amount:money datasource:int cancellation_reconciliation:json tracking_number "
        "carrier_shipping_code invoice_number invoice_date e_archive_url delivered_date:date "
        "estimated_delivery_date:date attributes:json attributes_kwargs:json parent" + DATES,
        first=50001,
        hidden="channel",
        indexes=("order",),  # none on channel: SQLite would take it for an order's items, and read them all
    ),
    _table(
        "cancellation_plans",
        "channel:int order:int status cancellation_type is_all:bool items:json reasons:json is_cargo_refund:bool "
        "forced_refund_amount refund_invoice_number ibans:json holder_names:json" + DATES,
        first=801,
        indexes=("order",),
    ),
    _table(
        "cancellation_requests",
        "channel:int order_item:int reason:int description cancellation_type status iban holder_name "
        "easy_return:json quantity:int fully_refund_as_loyalty_money:bool uuid attributes:json" + DATES,
        first=90001,
        hidden="channel",
        indexes=("channel modified_date", "order_item"),
    ),
    _table(
        "batch_requests",
        "channel:int local_batch_id remote_batch_id content_type status log_file" + DATES,
        first=601,
        unique=("local_batch_id",),
        indexes=("channel content_type status",),
    ),
    _table(
        "batch_objects",
        "batch_request:int content_type object_id:int version_date:date remote_id failed_reason_type" + DATES,
        unique=("batch_request content_type object_id",),
    ),
    _table(
        "integration_actions",
        "channel:int content_type object_id:int remote_id version_date:date status local_batch_id state:json" + DATES
        + " failed_reason_type failed_count:int first_failed_date:date last_failed_date:date",
        first=200001,
        unique=("channel content_type object_id",),
        indexes=("channel content_type remote_id", "local_batch_id", "channel content_type status"),
        hidden="failed_reason_type failed_count first_failed_date last_failed_date",
    ),
    _table(
        "error_reports",
        "channel:int action_content_type:int action_object_id:int target_content_type:int target_object_id "
        "obj_modified_date:date error_code error_desc raw_request raw_response is_ok:bool" + DATES,
        first=3001,
        unique=("channel action_content_type action_object_id target_content_type target_object_id error_code",),
    ),
    _table(
        "address_reports",
        "channel:int type remote_code country_id:int city_id:int township_id:int name integration_type err_code "
        "err_desc" + DATES,
    ),
    _table(
        "operational_events",
        "channel:int event_type level source message context:json tags:json action_content_type action_object_id "
        "trace_id span_id parent_span_id raw_data:json" + DATES,
        first=4001,
        indexes=("channel",),
    ),
)  # fmt: skip

TABLES = {table.name: table for table in _TABLES}
LOCATIONS = ("countries", "cities", "townships", "districts", "content_types")

# model name -> (content type id, app label, table that holds its objects where the stand-in keeps them)
CONTENT_TYPES: dict[str, tuple[int, str, str | None]] = {
    "product": (21, "products", "products"),
    "productprice": (22, "products", None),
    "productstock": (23, "search", None),
    "productimage": (24, "products", None),
    "productcategory": (25, "products", None),
    "categorytree": (26, "products", None),
    "categorynode": (27, "products", None),
    "order": (31, "orders", "orders"),
    "orderitem": (32, "orders", "order_items"),
    "cancellationrequest": (33, "orders", "cancellation_requests"),
    "channel": (41, "channels", "channels"),
    "batchrequest": (42, "channels", "batch_requests"),
    "integrationaction": (43, "channels", "integration_actions"),
}
