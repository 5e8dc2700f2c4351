-- Some rows of the totesys star: order 17 changed and then deleted, order 18 as inserted, a payment that was paid.
insert into dim_date (date_id, year, month, day, day_of_week, day_name, month_name, quarter)
select
    d::date,
    extract(year from d),
    extract(month from d),
    extract(day from d),
    extract(isodow from d),
    to_char(d, 'FMDay'),
    to_char(d, 'FMMonth'),
    extract(quarter from d)
from generate_series(timestamp '2024-01-01', timestamp '2024-12-31', interval '1 day') as d;

insert into dim_staff values (1, 'Jeremie', 'Franey', 'Purchasing', 'Manchester', 'jeremie@example.com');
insert into dim_location
values
    (3, '179 Alexie Cliffs', null, null, 'Aliso Viejo', '99305', 'San Marino', '9621 880720'),
    (5, '6826 Herzog Via', null, 'Avon', 'New Patienceburgh', '28441', 'Turkey', '1803 637401');
insert into dim_design values (9, 'Wooden', '/lib', 'wooden.json');
insert into dim_currency values (2, 'EUR', 'Euro');
insert into dim_counterparty values (18, 'Fahey and Sons', '6826 Herzog Via', null, null, 'Here', '1', 'There', '2');
insert into dim_payment_type values (1, 'SALES_RECEIPT');
insert into dim_transaction values (1, 'SALE', 17, null);

insert into fact_sales_order
values
    (
        1, 17, '2024-11-01', '10:00', '2024-11-01', '10:00', 1, 18, 5, 2.43, 2, 9, '2024-11-10', '2024-11-11', 3,
        '2024-11-01 10:00', false, 1, '2024-11-12 09:00'
    ),
    (
        2, 18, '2024-11-01', '10:01', '2024-11-01', '10:01', 1, 18, 6, 3.43, 2, 9, '2024-11-10', '2024-11-11', 3,
        '2024-11-01 10:01', false, 1, null
    ),
    (
        3, 17, '2024-11-01', '10:00', '2024-11-12', '09:00', 1, 18, 5, 2.43, 2, 9, '2024-11-10', '2024-11-11', 5,
        '2024-11-12 09:00', false, 2, '2024-11-13 08:00'
    ),
    (
        4, 17, '2024-11-01', '10:00', '2024-11-12', '09:00', 1, 18, 5, 2.43, 2, 9, '2024-11-10', '2024-11-11', 5,
        '2024-11-13 08:00', true, 3, null
    );

insert into fact_purchase_orders
values (
    1, 2, '2024-11-01', '10:00', '2024-11-01', '10:00', 1, 18, 'ZDOI5EA', 371, 361.39, 2, '2024-11-09', '2024-11-07', 3,
    '2024-11-01 10:00', false, 1, null
);

insert into fact_payment
values
    (
        1, 1, '2024-11-01', '10:00', null, null, 1, 18, 552548.62, 2, 1, false, '2024-11-04',
        '2024-11-01 10:00', false, 1, '2024-11-04 07:00'
    ),
    (
        2, 1, '2024-11-01', '10:00', '2024-11-04', '07:00', 1, 18, 552548.62, 2, 1, true, '2024-11-04',
        '2024-11-04 07:00', false, 2, null
    );
