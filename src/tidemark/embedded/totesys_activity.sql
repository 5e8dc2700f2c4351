-- Work in a source that has rows: orders placed, changed, cancelled; payments made; now and then a move.
-- Each `-- name:` begins one statement. Rows are chosen by the smallest hash of (seed, what for, key): every row is as
-- likely as any other, and the same rows are chosen from the same state.

-- name: now
select coalesce(%(at)s::timestamp, current_timestamp at time zone 'UTC')::timestamp(3) as at;

-- name: last_keys
select
    coalesce((select max(sales_order_id) from sales_order), 0) as sales_order,
    coalesce((select max(purchase_order_id) from purchase_order), 0) as purchase_order,
    coalesce((select max(transaction_id) from transaction), 0) as transaction,
    coalesce((select max(payment_id) from payment), 0) as payment;

-- name: choose_cancelled
-- Orders with one transaction and one payment. Never the newest rows, because their keys would be used again.
with
candidate as (
    select
        transaction.sales_order_id,
        pg_temp.lot(payment.payment_id, 'cancel', %(seed)s::bigint) as lot
    from payment
    inner join transaction using (transaction_id)
    where
        transaction.sales_order_id < %(last_sales_order)s::integer
        and transaction_id < %(last_transaction)s::integer
        and payment_id < %(last_payment)s::integer
        and (%(paid_too)s::boolean or not payment.paid)
        and transaction.sales_order_id is distinct from %(kept)s::integer
    order by lot, payment_id
    limit %(count)s::bigint * 2 + 20
)
select candidate.sales_order_id
from candidate
inner join transaction using (sales_order_id)
inner join payment using (transaction_id)
group by candidate.sales_order_id
having count(distinct lot) = 1 and count(*) = 1
order by min(lot), candidate.sales_order_id
limit %(count)s::bigint;

-- name: delete_payments_of_orders
delete from payment
using transaction
where payment.transaction_id = transaction.transaction_id and transaction.sales_order_id = any(%(keys)s::integer[]);

-- name: delete_transactions_of_orders
delete from transaction
where sales_order_id = any(%(keys)s::integer[]);

-- name: delete_orders
delete from sales_order
where sales_order_id = any(%(keys)s::integer[])
returning sales_order_id;

-- name: delete_payments
delete from payment
where payment_id in (
    select payment_id
    from payment
    where payment_id < %(last_payment)s::integer
    order by pg_temp.lot(payment_id, 'delete', %(seed)s::bigint), payment_id
    limit %(count)s::bigint
);

-- name: choose_changed
select sales_order_id
from sales_order
order by
    sales_order_id is not distinct from %(chosen)s::integer desc,
    pg_temp.lot(sales_order_id, 'change', %(seed)s::bigint),
    sales_order_id
limit %(count)s::bigint;

-- name: change_sales_orders
-- Every order gets another delivery location, and every second one another quantity; `first` always gets both.
update sales_order
set
    agreed_delivery_location_id = coalesce(
        (
            select address_id
            from address
            where address_id <> sales_order.agreed_delivery_location_id
            order by pg_temp.lot(address_id, 'other place', sales_order.sales_order_id + %(seed)s::bigint), address_id
            limit 1
        ),
        agreed_delivery_location_id
    ),
    units_sold = case
        when
            sales_order_id = %(first)s::integer
            or pg_temp.roll(sales_order_id, 'changes units', %(seed)s::bigint, 2) = 0
            then 1000 + mod(
                greatest(0, units_sold - 1000) + 1 + pg_temp.roll(sales_order_id, 'more units', %(seed)s::bigint, 90000), 99001
            )
        else units_sold
    end,
    last_updated = %(at)s::timestamp
where sales_order_id = any(%(keys)s::integer[]);

-- name: change_purchase_orders
update purchase_order
set
    item_quantity = 1 + mod(
        greatest(0, item_quantity - 1) + 1 + pg_temp.roll(purchase_order_id, 'more items', %(seed)s::bigint, 900), 999
    ),
    last_updated = %(at)s::timestamp
where purchase_order_id in (
    select purchase_order_id
    from purchase_order
    order by pg_temp.lot(purchase_order_id, 'change', %(seed)s::bigint), purchase_order_id
    limit %(count)s::bigint
);

-- name: pay
update payment
set
    paid = true,
    payment_date = to_char(%(at)s::timestamp, 'YYYY-MM-DD'),
    last_updated = %(at)s::timestamp
where payment_id in (
    select payment_id
    from payment
    where not paid
    order by pg_temp.lot(payment_id, 'pay', %(seed)s::bigint), payment_id
    limit %(count)s::bigint
);

-- name: change_payments
-- Any payment: an open one becomes paid; a paid one gets another account number of the counterparty.
update payment
set
    paid = true,
    payment_date = case when paid then payment_date else to_char(%(at)s::timestamp, 'YYYY-MM-DD') end,
    counterparty_ac_number = case
        when paid
            then 10000000 + mod(
                counterparty_ac_number - 10000000 + 1 + pg_temp.roll(payment_id, 'account', %(seed)s::bigint, 80000000),
                90000000
            )
        else counterparty_ac_number
    end,
    last_updated = %(at)s::timestamp
where payment_id in (
    select payment_id
    from payment
    order by pg_temp.lot(payment_id, 'change', %(seed)s::bigint), payment_id
    limit %(count)s::bigint
);

-- name: move_staff
update staff
set
    department_id = coalesce(
        (
            select department_id
            from department
            where department_id <> staff.department_id
            order by pg_temp.lot(department_id, 'other department', staff.staff_id + %(seed)s::bigint), department_id
            limit 1
        ),
        department_id
    ),
    last_updated = %(at)s::timestamp
where staff_id in (
    select staff_id
    from staff
    order by pg_temp.lot(staff_id, 'move', %(seed)s::bigint), staff_id
    limit %(count)s::bigint
);

-- name: change_addresses
update address
set
    address_line_1 = regexp_replace(address_line_1, '^[0-9]+ ', '')
    || ', No. ' || (1 + pg_temp.roll(address_id, 'new house', %(seed)s::bigint, 240)),
    phone = lpad(pg_temp.roll(address_id, 'new area code', %(seed)s::bigint, 10000)::text, 4, '0') || ' '
    || lpad(pg_temp.roll(address_id, 'new phone', %(seed)s::bigint, 1000000)::text, 6, '0'),
    last_updated = %(at)s::timestamp
where address_id in (
    select address_id
    from address
    order by pg_temp.lot(address_id, 'change', %(seed)s::bigint), address_id
    limit %(count)s::bigint
);

-- name: insert_sales_orders
with
given as (
    select
        (select array_agg(design_id order by design_id) from design) as designs,
        (select array_agg(staff_id order by staff_id) from staff) as staff,
        (select array_agg(counterparty_id order by counterparty_id) from counterparty) as counterparties,
        (select array_agg(currency_id order by currency_id) from currency) as currencies,
        (select array_agg(address_id order by address_id) from address) as addresses
),
numbered as (
    select %(last_sales_order)s::integer + i as i
    from generate_series(1, %(count)s::integer) as i
)
insert into sales_order (
    sales_order_id, created_at, last_updated, design_id, staff_id, counterparty_id, units_sold, unit_price, currency_id,
    agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id
)
select
    i,
    %(at)s::timestamp,
    %(at)s::timestamp,
    designs[1 + pg_temp.roll(i, 'sold design', %(seed)s::bigint, cardinality(designs))],
    staff[1 + pg_temp.roll(i, 'seller', %(seed)s::bigint, cardinality(staff))],
    counterparties[1 + pg_temp.roll(i, 'customer', %(seed)s::bigint, cardinality(counterparties))],
    1000 + pg_temp.roll(i, 'units', %(seed)s::bigint, 99001),
    (200 + pg_temp.roll(i, 'unit price', %(seed)s::bigint, 201)) * 0.01,
    currencies[1 + pg_temp.roll(i, 'sale currency', %(seed)s::bigint, cardinality(currencies))],
    to_char(%(at)s::timestamp + interval '1 day' * (1 + pg_temp.roll(i, 'sale delivery', %(seed)s::bigint, 7)), 'YYYY-MM-DD'),
    to_char(%(at)s::timestamp + interval '1 day' * pg_temp.roll(i, 'sale payment', %(seed)s::bigint, 7), 'YYYY-MM-DD'),
    addresses[1 + pg_temp.roll(i, 'sale location', %(seed)s::bigint, cardinality(addresses))]
from numbered, given;

-- name: insert_purchase_orders
with
given as (
    select
        (select array_agg(staff_id order by staff_id) from staff) as staff,
        (select array_agg(counterparty_id order by counterparty_id) from counterparty) as counterparties,
        (select array_agg(currency_id order by currency_id) from currency) as currencies,
        (select array_agg(address_id order by address_id) from address) as addresses
),
numbered as (
    select %(last_purchase_order)s::integer + i as i
    from generate_series(1, %(count)s::integer) as i
)
insert into purchase_order (
    purchase_order_id, created_at, last_updated, staff_id, counterparty_id, item_code, item_quantity, item_unit_price,
    currency_id, agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id
)
select
    i,
    %(at)s::timestamp,
    %(at)s::timestamp,
    staff[1 + pg_temp.roll(i, 'buyer', %(seed)s::bigint, cardinality(staff))],
    counterparties[1 + pg_temp.roll(i, 'supplier', %(seed)s::bigint, cardinality(counterparties))],
    translate(
        left(md5(pg_temp.roll(i, 'item', %(seed)s::bigint, 900)::text), 7), '0123456789abcdef', 'QZK3DR7XM4VW9TB2'
    ),
    1 + pg_temp.roll(i, 'quantity', %(seed)s::bigint, 999),
    (300 + pg_temp.roll(i, 'item price', %(seed)s::bigint, 99700)) * 0.01,
    currencies[1 + pg_temp.roll(i, 'purchase currency', %(seed)s::bigint, cardinality(currencies))],
    to_char(
        %(at)s::timestamp + interval '1 day' * (1 + pg_temp.roll(i, 'purchase delivery', %(seed)s::bigint, 7)), 'YYYY-MM-DD'
    ),
    to_char(%(at)s::timestamp + interval '1 day' * pg_temp.roll(i, 'purchase payment', %(seed)s::bigint, 7), 'YYYY-MM-DD'),
    addresses[1 + pg_temp.roll(i, 'purchase location', %(seed)s::bigint, cardinality(addresses))]
from numbered, given;

-- name: insert_transactions
-- For the first `count` of the orders that came after the last keys: sales, then purchases.
with
placed as (
    select 'SALE' as transaction_type, sales_order_id, null::integer as purchase_order_id
    from sales_order
    where sales_order_id > %(last_sales_order)s::integer
    union all
    select 'PURCHASE', null, purchase_order_id
    from purchase_order
    where purchase_order_id > %(last_purchase_order)s::integer
),
numbered as (
    select *, row_number() over (order by transaction_type desc, sales_order_id, purchase_order_id)::integer as i from placed
)
insert into transaction (transaction_id, transaction_type, sales_order_id, purchase_order_id, created_at, last_updated)
select
    %(last_transaction)s::integer + i,
    transaction_type,
    sales_order_id,
    purchase_order_id,
    %(at)s::timestamp,
    %(at)s::timestamp
from numbered
where i <= %(count)s::integer;

-- name: insert_payments
insert into payment (
    payment_id, created_at, last_updated, transaction_id, counterparty_id, payment_amount, currency_id, payment_type_id,
    paid, payment_date, company_ac_number, counterparty_ac_number
)
select
    %(last_payment)s::integer + row_number() over (order by transaction_id)::integer,
    %(at)s::timestamp,
    %(at)s::timestamp,
    transaction_id,
    coalesce(sales_order.counterparty_id, purchase_order.counterparty_id),
    coalesce(units_sold * unit_price, item_quantity * item_unit_price),
    coalesce(sales_order.currency_id, purchase_order.currency_id),
    case when transaction.sales_order_id is not null then 1 else 3 end,
    false,
    coalesce(sales_order.agreed_payment_date, purchase_order.agreed_payment_date),
    10000000 + pg_temp.roll(transaction_id, 'company account', %(seed)s::bigint, 90000000),
    10000000 + pg_temp.roll(transaction_id, 'counterparty account', %(seed)s::bigint, 90000000)
from transaction
left join sales_order using (sales_order_id)
left join purchase_order using (purchase_order_id)
where transaction_id > %(last_transaction)s::integer;
