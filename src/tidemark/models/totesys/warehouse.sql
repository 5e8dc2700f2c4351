-- The warehouse of totesys: facts that keep every version of a row, dimensions that keep the latest values.
-- Names are unqualified: everything lands in the schema that the search_path names.
--
-- Each fact's indexes, its view of the live rows and its function of the rows at a moment are generated.
--
-- A column may be null where the source allows it or where a left join may find nothing, with two exceptions.
-- last_updated_* of a fact may be null, since a row whose stamp was removed still has a place in history (valid_from).
-- currency_name is never null although its left join may find nothing: a currency whose code is none of ISO 4217's is
-- set aside.
-- Source ids and counts are integer, as they are in the source. The surrogate keys are bigint: they number all changes
-- ever made, which outgrow an integer long before the source's own ids do.
--
-- The linter would put a constraint's second line at the margin:
-- noqa: disable=LT02

create table dim_date (
    date_id date not null,
    year integer not null,
    month integer not null,
    day integer not null,
    day_of_week integer not null,
    day_name varchar not null,
    month_name varchar not null,
    quarter integer not null,
    constraint dim_date_pkey primary key (date_id)
);

create table dim_staff (
    staff_id integer not null,
    first_name varchar not null,
    last_name varchar not null,
    department_name varchar,
    location varchar,
    email_address varchar not null,
    constraint dim_staff_pkey primary key (staff_id)
);

create table dim_location (
    location_id integer not null,
    address_line_1 varchar not null,
    address_line_2 varchar,
    district varchar,
    city varchar not null,
    postal_code varchar not null,
    country varchar not null,
    phone varchar not null,
    constraint dim_location_pkey primary key (location_id)
);

create table dim_design (
    design_id integer not null,
    design_name varchar not null,
    file_location varchar not null,
    file_name varchar not null,
    constraint dim_design_pkey primary key (design_id)
);

create table dim_currency (
    currency_id integer not null,
    currency_code varchar not null,
    currency_name varchar not null,
    constraint dim_currency_pkey primary key (currency_id)
);

create table dim_counterparty (
    counterparty_id integer not null,
    counterparty_legal_name varchar not null,
    counterparty_legal_address_line_1 varchar,
    counterparty_legal_address_line_2 varchar,
    counterparty_legal_district varchar,
    counterparty_legal_city varchar,
    counterparty_legal_postal_code varchar,
    counterparty_legal_country varchar,
    counterparty_legal_phone_number varchar,
    constraint dim_counterparty_pkey primary key (counterparty_id)
);

create table dim_payment_type (
    payment_type_id integer not null,
    payment_type_name varchar not null,
    constraint dim_payment_type_pkey primary key (payment_type_id)
);

create table dim_transaction (
    transaction_id integer not null,
    transaction_type varchar not null,
    sales_order_id integer,
    purchase_order_id integer,
    constraint dim_transaction_pkey primary key (transaction_id)
);

create table fact_sales_order (
    sales_record_id bigint not null,
    sales_order_id integer not null,
    created_date date not null,
    created_time time not null,
    last_updated_date date,
    last_updated_time time,
    sales_staff_id integer not null,
    counterparty_id integer not null,
    units_sold integer not null,
    unit_price numeric(10, 2) not null,
    currency_id integer not null,
    design_id integer not null,
    agreed_payment_date date not null,
    agreed_delivery_date date not null,
    agreed_delivery_location_id integer not null,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    constraint fact_sales_order_pkey primary key (sales_record_id),
    constraint fact_sales_order_created_date_fkey foreign key (created_date)
        references dim_date (date_id),
    constraint fact_sales_order_last_updated_date_fkey foreign key (last_updated_date)
        references dim_date (date_id),
    constraint fact_sales_order_sales_staff_id_fkey foreign key (sales_staff_id)
        references dim_staff (staff_id),
    constraint fact_sales_order_counterparty_id_fkey foreign key (counterparty_id)
        references dim_counterparty (counterparty_id),
    constraint fact_sales_order_currency_id_fkey foreign key (currency_id)
        references dim_currency (currency_id),
    constraint fact_sales_order_design_id_fkey foreign key (design_id)
        references dim_design (design_id),
    constraint fact_sales_order_agreed_payment_date_fkey foreign key (agreed_payment_date)
        references dim_date (date_id),
    constraint fact_sales_order_agreed_delivery_date_fkey foreign key (agreed_delivery_date)
        references dim_date (date_id),
    constraint fact_sales_order_agreed_delivery_location_id_fkey foreign key (agreed_delivery_location_id)
        references dim_location (location_id),
    constraint fact_sales_order_valid_to_check check (valid_to > valid_from)
);

create table fact_purchase_orders (
    purchase_record_id bigint not null,
    purchase_order_id integer not null,
    created_date date not null,
    created_time time not null,
    last_updated_date date,
    last_updated_time time,
    staff_id integer not null,
    counterparty_id integer not null,
    item_code varchar not null,
    item_quantity integer not null,
    item_unit_price numeric(10, 2) not null,
    currency_id integer not null,
    agreed_delivery_date date not null,
    agreed_payment_date date not null,
    agreed_delivery_location_id integer not null,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    constraint fact_purchase_orders_pkey primary key (purchase_record_id),
    constraint fact_purchase_orders_created_date_fkey foreign key (created_date)
        references dim_date (date_id),
    constraint fact_purchase_orders_last_updated_date_fkey foreign key (last_updated_date)
        references dim_date (date_id),
    constraint fact_purchase_orders_staff_id_fkey foreign key (staff_id)
        references dim_staff (staff_id),
    constraint fact_purchase_orders_counterparty_id_fkey foreign key (counterparty_id)
        references dim_counterparty (counterparty_id),
    constraint fact_purchase_orders_currency_id_fkey foreign key (currency_id)
        references dim_currency (currency_id),
    constraint fact_purchase_orders_agreed_delivery_date_fkey foreign key (agreed_delivery_date)
        references dim_date (date_id),
    constraint fact_purchase_orders_agreed_payment_date_fkey foreign key (agreed_payment_date)
        references dim_date (date_id),
    constraint fact_purchase_orders_agreed_delivery_location_id_fkey foreign key (agreed_delivery_location_id)
        references dim_location (location_id),
    constraint fact_purchase_orders_valid_to_check check (valid_to > valid_from)
);

create table fact_payment (
    payment_record_id bigint not null,
    payment_id integer not null,
    created_date date not null,
    created_time time not null,
    last_updated_date date,
    last_updated_time time,
    transaction_id integer not null,
    counterparty_id integer not null,
    payment_amount numeric(18, 2) not null,
    currency_id integer not null,
    payment_type_id integer not null,
    paid boolean not null,
    payment_date date not null,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    constraint fact_payment_pkey primary key (payment_record_id),
    constraint fact_payment_created_date_fkey foreign key (created_date)
        references dim_date (date_id),
    constraint fact_payment_last_updated_date_fkey foreign key (last_updated_date)
        references dim_date (date_id),
    constraint fact_payment_transaction_id_fkey foreign key (transaction_id)
        references dim_transaction (transaction_id),
    constraint fact_payment_counterparty_id_fkey foreign key (counterparty_id)
        references dim_counterparty (counterparty_id),
    constraint fact_payment_currency_id_fkey foreign key (currency_id)
        references dim_currency (currency_id),
    constraint fact_payment_payment_type_id_fkey foreign key (payment_type_id)
        references dim_payment_type (payment_type_id),
    constraint fact_payment_payment_date_fkey foreign key (payment_date)
        references dim_date (date_id),
    constraint fact_payment_valid_to_check check (valid_to > valid_from)
);

-- For whoever meets these tables in a database client.
comment on table dim_date is 'Every day of each year that a fact names, and no other.';
comment on column dim_date.day_of_week is '1 is Monday, 7 is Sunday.';
comment on table dim_staff is 'Staff with the department that they belong to now.';
comment on column dim_staff.location is 'Where the department sits.';
comment on table dim_location is 'Addresses, named by the source''s address_id: where orders are delivered.';
comment on table dim_design is 'Designs, each with the file that holds it.';
comment on table dim_currency is 'Currencies that orders and payments are made in.';
comment on column dim_currency.currency_name is
    'The name in ISO 4217. A currency whose code the standard does not have is set aside.';
comment on table dim_counterparty is 'Counterparties with their legal address as it is now.';
comment on table dim_payment_type is 'Kinds of payment.';
comment on table dim_transaction is 'What a payment was for: a sales order or a purchase order.';
comment on column dim_transaction.sales_order_id is
    'The sales order, for a sale. Not a foreign key: fact_sales_order has a row for each version.';
comment on column dim_transaction.purchase_order_id is
    'The purchase order, for a purchase. Not a foreign key: fact_purchase_orders has a row for each version.';
comment on table fact_sales_order is
    'Each version of a sales order. Now: fact_sales_order_current, earlier: fact_sales_order_as_of.';
comment on column fact_sales_order.sales_record_id is
    'This version''s own number. A change of the sales order gets a new one.';
comment on column fact_sales_order.sales_order_id is 'The sales order, the same in all its versions.';
comment on column fact_sales_order.valid_from is 'From this moment (UTC, inclusive) the row was as this version says.';
comment on column fact_sales_order.valid_to is 'Until this moment (UTC, exclusive). Null: this is the newest version.';
comment on column fact_sales_order.is_deleted is
    'The sales order was deleted at valid_from. The other columns hold its last known values.';
comment on column fact_sales_order.batch_id is 'The batch that brought this version, see tidemark.batch.';
comment on table fact_purchase_orders is
    'Each version of a purchase order. Now: fact_purchase_orders_current, earlier: fact_purchase_orders_as_of.';
comment on column fact_purchase_orders.purchase_record_id is
    'This version''s own number. A change of the purchase order gets a new one.';
comment on column fact_purchase_orders.purchase_order_id is 'The purchase order, the same in all its versions.';
comment on column fact_purchase_orders.valid_from is
    'From this moment (UTC, inclusive) the row was as this version says.';
comment on column fact_purchase_orders.valid_to is
    'Until this moment (UTC, exclusive). Null: this is the newest version.';
comment on column fact_purchase_orders.is_deleted is
    'The purchase order was deleted at valid_from. The other columns hold its last known values.';
comment on column fact_purchase_orders.batch_id is 'The batch that brought this version, see tidemark.batch.';
comment on table fact_payment is 'Each version of a payment. Now: fact_payment_current, earlier: fact_payment_as_of.';
comment on column fact_payment.payment_record_id is
    'This version''s own number. A change of the payment gets a new one.';
comment on column fact_payment.payment_id is 'The payment, the same in all its versions.';
comment on column fact_payment.valid_from is 'From this moment (UTC, inclusive) the row was as this version says.';
comment on column fact_payment.valid_to is 'Until this moment (UTC, exclusive). Null: this is the newest version.';
comment on column fact_payment.is_deleted is
    'The payment was deleted at valid_from. The other columns hold its last known values.';
comment on column fact_payment.batch_id is 'The batch that brought this version, see tidemark.batch.';
