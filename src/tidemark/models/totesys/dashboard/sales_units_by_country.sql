-- title: Units by country of delivery
-- page: Sales
-- position: 170
-- chart: bars
-- x: country
-- y: units
-- filters: dates, currency, department
-- note: The ten largest are drawn.
with locations as (
    select
        orders.agreed_delivery_location_id,
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
    group by orders.agreed_delivery_location_id
)

select
    dim_location.country,
    cast(sum(locations.units) as bigint) as units,
    cast(sum(locations.orders) as bigint) as orders
from locations
inner join dim_location on locations.agreed_delivery_location_id = dim_location.location_id
group by dim_location.country
order by units desc, dim_location.country asc
limit 100;
