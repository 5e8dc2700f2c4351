-- name: has_tables
select to_regclass('public.payment') is not null;

-- name: has_rows
select exists(select from payment);

-- name: current
select
    currency_code,
    count(*) as orders,
    sum(units_sold * unit_price) as turnover
from fact_sales_order_current
inner join dim_currency using (currency_id)
group by currency_code
order by turnover desc;

-- name: history
select
    sales_order_id,
    count(*) as versions,
    max(valid_from) as last_change,
    bool_or(is_deleted) as is_deleted
from fact_sales_order
group by sales_order_id
order by versions desc, sales_order_id asc
limit 3;

-- name: as_of
select
    sales_order_id,
    units_sold,
    agreed_delivery_location_id as location_id,
    valid_from
from fact_sales_order_as_of({moment})
where sales_order_id in ({orders})
order by sales_order_id;
