-- title: Units by department
-- page: Sales
-- position: 125
-- chart: bars
-- x: department
-- y: units
-- filters: dates, currency, department
with members as (
    select
        orders.sales_staff_id,
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
    group by orders.sales_staff_id
)

select
    dim_staff.department_name as department,
    cast(sum(members.units) as bigint) as units,
    cast(sum(members.orders) as bigint) as orders
from members
inner join dim_staff on members.sales_staff_id = dim_staff.staff_id
group by department
order by units desc, department asc;
