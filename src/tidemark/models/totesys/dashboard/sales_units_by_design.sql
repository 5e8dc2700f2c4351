-- title: Units by design
-- page: Sales
-- position: 130
-- chart: bars
-- x: design
-- y: units
-- filters: dates, currency, department
-- note: The ten largest are drawn.
with designs as (
    select
        orders.design_id,
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
    group by orders.design_id
)

select
    dim_design.design_name as design,
    cast(sum(designs.units) as bigint) as units,
    cast(sum(designs.orders) as bigint) as orders
from designs
inner join dim_design on designs.design_id = dim_design.design_id
group by design
order by units desc, design asc
limit 100;
