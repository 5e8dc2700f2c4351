-- title: Units by design
-- page: Sales
-- position: 130
-- chart: bars
-- x: design
-- y: units
-- filters: dates, currency, department
-- note: The ten largest are drawn.
select
    dim_design.design_name as design,
    sum(orders.units_sold) as units,
    count(*) as orders
from fact_sales_order_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.sales_staff_id = dim_staff.staff_id
inner join dim_design on orders.design_id = dim_design.design_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s)
group by design
order by units desc, design asc
limit 100;
