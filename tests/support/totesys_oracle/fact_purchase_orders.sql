-- Equals fact_purchase_orders_current, without surrogate key and history columns.
select
    o.purchase_order_id,
    o.created_at::date as created_date,
    o.created_at::time as created_time,
    o.last_updated::date as last_updated_date,
    o.last_updated::time as last_updated_time,
    o.staff_id,
    o.counterparty_id,
    o.item_code,
    o.item_quantity,
    o.item_unit_price::numeric(10, 2) as item_unit_price,
    o.currency_id,
    to_date(o.agreed_delivery_date, 'YYYY-MM-DD') as agreed_delivery_date,
    to_date(o.agreed_payment_date, 'YYYY-MM-DD') as agreed_payment_date,
    o.agreed_delivery_location_id
from purchase_order as o
