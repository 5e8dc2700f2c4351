-- One key's versions neither overlap nor leave a gap: each ends where the next one begins, and the newest is open.
with versions as (
    select
        'fact_sales_order' as star_table,
        sales_order_id as source_key,
        valid_from,
        valid_to
    from fact_sales_order
    union all
    select
        'fact_purchase_orders' as star_table,
        purchase_order_id as source_key,
        valid_from,
        valid_to
    from fact_purchase_orders
    union all
    select
        'fact_payment' as star_table,
        payment_id as source_key,
        valid_from,
        valid_to
    from fact_payment
),

neighbours as (
    select
        star_table,
        source_key,
        valid_from,
        valid_to,
        lead(valid_from) over (partition by star_table, source_key order by valid_from) as next_valid_from
    from versions
)

select
    star_table,
    source_key,
    valid_from,
    valid_to,
    next_valid_from
from neighbours
where valid_to is distinct from next_valid_from or valid_to <= valid_from
order by star_table, source_key, valid_from
