-- A key has exactly one newest version, deleted or not.
with versions as (
    select
        'fact_sales_order' as star_table,
        sales_order_id as source_key,
        valid_to
    from fact_sales_order
    union all
    select
        'fact_purchase_orders' as star_table,
        purchase_order_id as source_key,
        valid_to
    from fact_purchase_orders
    union all
    select
        'fact_payment' as star_table,
        payment_id as source_key,
        valid_to
    from fact_payment
)

select
    star_table,
    source_key,
    count(*) filter (where valid_to is null) as current_versions
from versions
group by star_table, source_key
having count(*) filter (where valid_to is null) <> 1
order by star_table, source_key
