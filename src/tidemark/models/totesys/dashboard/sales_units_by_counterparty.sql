-- title: Units by customer
-- page: Sales
-- position: 160
-- chart: bars
-- x: customer
-- y: units
-- filters: dates, currency, department
-- note: The ten largest are drawn.
with customers as (
    select
        orders.counterparty_id,
        sum(orders.units_sold) as units,
        count(*) as orders
    from fact_sales_order_current as orders
    where
        orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
        and (
            cast(%(currency)s as text) is null
            or orders.currency_id = any(array(
                select dim_currency.currency_id from dim_currency
                where dim_currency.currency_code = %(currency)s
            ))
        )
        and (
            cast(%(department)s as text) is null
            or orders.sales_staff_id = any(array(
                select dim_staff.staff_id from dim_staff
                where dim_staff.department_name = %(department)s
            ))
        )
    group by orders.counterparty_id
)

select
    dim_counterparty.counterparty_legal_name as customer,
    cast(sum(customers.units) as bigint) as units,
    cast(sum(customers.orders) as bigint) as orders
from customers
inner join dim_counterparty on customers.counterparty_id = dim_counterparty.counterparty_id
group by dim_counterparty.counterparty_id, customer
order by units desc, customer asc
limit 100;
