-- Equals dim_transaction as long as no transaction was deleted from the source.
select
    t.transaction_id,
    t.transaction_type,
    t.sales_order_id,
    t.purchase_order_id
from transaction as t
