-- title: Units by country of delivery
-- page: Sales
-- position: 170
-- chart: bars
-- x: country
-- y: units
-- filters: dates, currency, department
-- note: The ten largest are drawn.
select
    dim_location.country,
    sum(orders.units_sold) as units,
    count(*) as orders
from fact_sales_order_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.sales_staff_id = dim_staff.staff_id
inner join dim_location on orders.agreed_delivery_location_id = dim_location.location_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s)
group by dim_location.country
order by units desc, dim_location.country asc
limit 100;
