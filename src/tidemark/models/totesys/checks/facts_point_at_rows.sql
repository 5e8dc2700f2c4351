-- Every reference of a fact finds its dimension row, whatever became of the foreign keys.
with dangling as (
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'created_date' as column_name,
        fact.created_date::text as missing
    from fact_sales_order as fact
    left join dim_date as dimension on fact.created_date = dimension.date_id
    where fact.created_date is not null and dimension.date_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'last_updated_date' as column_name,
        fact.last_updated_date::text as missing
    from fact_sales_order as fact
    left join dim_date as dimension on fact.last_updated_date = dimension.date_id
    where fact.last_updated_date is not null and dimension.date_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'sales_staff_id' as column_name,
        fact.sales_staff_id::text as missing
    from fact_sales_order as fact
    left join dim_staff as dimension on fact.sales_staff_id = dimension.staff_id
    where fact.sales_staff_id is not null and dimension.staff_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'counterparty_id' as column_name,
        fact.counterparty_id::text as missing
    from fact_sales_order as fact
    left join dim_counterparty as dimension on fact.counterparty_id = dimension.counterparty_id
    where fact.counterparty_id is not null and dimension.counterparty_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'currency_id' as column_name,
        fact.currency_id::text as missing
    from fact_sales_order as fact
    left join dim_currency as dimension on fact.currency_id = dimension.currency_id
    where fact.currency_id is not null and dimension.currency_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'design_id' as column_name,
        fact.design_id::text as missing
    from fact_sales_order as fact
    left join dim_design as dimension on fact.design_id = dimension.design_id
    where fact.design_id is not null and dimension.design_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'agreed_payment_date' as column_name,
        fact.agreed_payment_date::text as missing
    from fact_sales_order as fact
    left join dim_date as dimension on fact.agreed_payment_date = dimension.date_id
    where fact.agreed_payment_date is not null and dimension.date_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'agreed_delivery_date' as column_name,
        fact.agreed_delivery_date::text as missing
    from fact_sales_order as fact
    left join dim_date as dimension on fact.agreed_delivery_date = dimension.date_id
    where fact.agreed_delivery_date is not null and dimension.date_id is null
    union all
    select
        'fact_sales_order' as star_table,
        fact.sales_record_id as record_id,
        'agreed_delivery_location_id' as column_name,
        fact.agreed_delivery_location_id::text as missing
    from fact_sales_order as fact
    left join dim_location as dimension on fact.agreed_delivery_location_id = dimension.location_id
    where fact.agreed_delivery_location_id is not null and dimension.location_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'created_date' as column_name,
        fact.created_date::text as missing
    from fact_purchase_orders as fact
    left join dim_date as dimension on fact.created_date = dimension.date_id
    where fact.created_date is not null and dimension.date_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'last_updated_date' as column_name,
        fact.last_updated_date::text as missing
    from fact_purchase_orders as fact
    left join dim_date as dimension on fact.last_updated_date = dimension.date_id
    where fact.last_updated_date is not null and dimension.date_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'staff_id' as column_name,
        fact.staff_id::text as missing
    from fact_purchase_orders as fact
    left join dim_staff as dimension on fact.staff_id = dimension.staff_id
    where fact.staff_id is not null and dimension.staff_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'counterparty_id' as column_name,
        fact.counterparty_id::text as missing
    from fact_purchase_orders as fact
    left join dim_counterparty as dimension on fact.counterparty_id = dimension.counterparty_id
    where fact.counterparty_id is not null and dimension.counterparty_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'currency_id' as column_name,
        fact.currency_id::text as missing
    from fact_purchase_orders as fact
    left join dim_currency as dimension on fact.currency_id = dimension.currency_id
    where fact.currency_id is not null and dimension.currency_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'agreed_delivery_date' as column_name,
        fact.agreed_delivery_date::text as missing
    from fact_purchase_orders as fact
    left join dim_date as dimension on fact.agreed_delivery_date = dimension.date_id
    where fact.agreed_delivery_date is not null and dimension.date_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'agreed_payment_date' as column_name,
        fact.agreed_payment_date::text as missing
    from fact_purchase_orders as fact
    left join dim_date as dimension on fact.agreed_payment_date = dimension.date_id
    where fact.agreed_payment_date is not null and dimension.date_id is null
    union all
    select
        'fact_purchase_orders' as star_table,
        fact.purchase_record_id as record_id,
        'agreed_delivery_location_id' as column_name,
        fact.agreed_delivery_location_id::text as missing
    from fact_purchase_orders as fact
    left join dim_location as dimension on fact.agreed_delivery_location_id = dimension.location_id
    where fact.agreed_delivery_location_id is not null and dimension.location_id is null
    union all
    select
        'fact_payment' as star_table,
        fact.payment_record_id as record_id,
        'created_date' as column_name,
        fact.created_date::text as missing
    from fact_payment as fact
    left join dim_date as dimension on fact.created_date = dimension.date_id
    where fact.created_date is not null and dimension.date_id is null
    union all
    select
        'fact_payment' as star_table,
        fact.payment_record_id as record_id,
        'last_updated_date' as column_name,
        fact.last_updated_date::text as missing
    from fact_payment as fact
    left join dim_date as dimension on fact.last_updated_date = dimension.date_id
    where fact.last_updated_date is not null and dimension.date_id is null
    union all
    select
        'fact_payment' as star_table,
        fact.payment_record_id as record_id,
        'transaction_id' as column_name,
        fact.transaction_id::text as missing
    from fact_payment as fact
    left join dim_transaction as dimension on fact.transaction_id = dimension.transaction_id
    where fact.transaction_id is not null and dimension.transaction_id is null
    union all
    select
        'fact_payment' as star_table,
        fact.payment_record_id as record_id,
        'counterparty_id' as column_name,
        fact.counterparty_id::text as missing
    from fact_payment as fact
    left join dim_counterparty as dimension on fact.counterparty_id = dimension.counterparty_id
    where fact.counterparty_id is not null and dimension.counterparty_id is null
    union all
    select
        'fact_payment' as star_table,
        fact.payment_record_id as record_id,
        'currency_id' as column_name,
        fact.currency_id::text as missing
    from fact_payment as fact
    left join dim_currency as dimension on fact.currency_id = dimension.currency_id
    where fact.currency_id is not null and dimension.currency_id is null
    union all
    select
        'fact_payment' as star_table,
        fact.payment_record_id as record_id,
        'payment_type_id' as column_name,
        fact.payment_type_id::text as missing
    from fact_payment as fact
    left join dim_payment_type as dimension on fact.payment_type_id = dimension.payment_type_id
    where fact.payment_type_id is not null and dimension.payment_type_id is null
    union all
    select
        'fact_payment' as star_table,
        fact.payment_record_id as record_id,
        'payment_date' as column_name,
        fact.payment_date::text as missing
    from fact_payment as fact
    left join dim_date as dimension on fact.payment_date = dimension.date_id
    where fact.payment_date is not null and dimension.date_id is null
)

select
    star_table,
    record_id,
    column_name,
    missing
from dangling
order by star_table, record_id, column_name
