-- title: Units by member of staff
-- page: Sales
-- position: 140
-- chart: bars
-- x: staff
-- y: units
-- filters: dates, currency, department
-- note: The ten largest are drawn.
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
    concat_ws(' ', dim_staff.first_name, dim_staff.last_name) as staff,
    dim_staff.department_name as department,
    members.units,
    members.orders
from members
inner join dim_staff on members.sales_staff_id = dim_staff.staff_id
order by members.units desc, staff asc;
