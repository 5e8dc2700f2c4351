-- What the warehouse of totesys has beside the tables, keys and comments that follow from the model.
-- `tidemark init --dry-run` shows all of it. Names are unqualified: everything lands in the schema that the search_path
-- names.
--
-- The linter would put a comment's second line at the margin:
-- noqa: disable=LT02

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
