-- title: Units by member of staff
-- page: Sales
-- position: 140
-- chart: bars
-- x: staff
-- y: units
-- filters: dates, currency, department
-- note: The ten largest are drawn.
select
    concat_ws(' ', dim_staff.first_name, dim_staff.last_name) as staff,
    dim_staff.department_name as department,
    sum(orders.units_sold) as units,
    count(*) as orders
from fact_sales_order_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.sales_staff_id = dim_staff.staff_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s)
group by dim_staff.staff_id, staff, department
order by units desc, staff asc;
