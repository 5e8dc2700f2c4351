-- What _current shows is the newest version and not deleted, and it shows each live key once.
with shown as (
    select
        'fact_sales_order' as star_table,
        sales_record_id as record_id,
        sales_order_id as source_key,
        is_deleted,
        valid_to
    from fact_sales_order_current
    union all
    select
        'fact_purchase_orders' as star_table,
        purchase_record_id as record_id,
        purchase_order_id as source_key,
        is_deleted,
        valid_to
    from fact_purchase_orders_current
    union all
    select
        'fact_payment' as star_table,
        payment_record_id as record_id,
        payment_id as source_key,
        is_deleted,
        valid_to
    from fact_payment_current
),

expected as (
    select
        'fact_sales_order' as star_table,
        sales_record_id as record_id,
        sales_order_id as source_key
    from fact_sales_order
    where valid_to is null and is_deleted is false
    union all
    select
        'fact_purchase_orders' as star_table,
        purchase_record_id as record_id,
        purchase_order_id as source_key
    from fact_purchase_orders
    where valid_to is null and is_deleted is false
    union all
    select
        'fact_payment' as star_table,
        payment_record_id as record_id,
        payment_id as source_key
    from fact_payment
    where valid_to is null and is_deleted is false
)

select
    coalesce(shown.star_table, expected.star_table) as star_table,
    coalesce(shown.source_key, expected.source_key) as source_key,
    shown.record_id as shown_record_id,
    expected.record_id as expected_record_id
from shown
full join expected on shown.star_table = expected.star_table and shown.record_id = expected.record_id
where shown.record_id is null or expected.record_id is null or shown.is_deleted or shown.valid_to is not null
order by star_table, source_key
