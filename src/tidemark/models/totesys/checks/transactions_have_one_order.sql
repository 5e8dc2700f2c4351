-- A transaction is for one order: either a sales order or a purchase order.
select
    transaction_id,
    transaction_type,
    sales_order_id,
    purchase_order_id
from dim_transaction
where num_nonnulls(sales_order_id, purchase_order_id) <> 1
order by transaction_id
