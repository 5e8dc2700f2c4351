-- The rows of a new source. Each `-- name:` begins one statement; generator.py runs them in this order.
-- Every random choice is a hash of (seed, column, row), so a row depends neither on the number of rows nor on any state.

-- name: lot
create or replace function pg_temp.lot(i bigint, stream text, seed bigint) returns bigint
language sql immutable
as 'select hashint8extended(i, hashtextextended(stream, seed)) & 9223372036854775807';

-- name: roll
create or replace function pg_temp.roll(i bigint, stream text, seed bigint, sides bigint) returns integer
language sql immutable
as 'select mod(hashint8extended(i, hashtextextended(stream, seed)) & 9223372036854775807, sides)::integer';

-- name: word
-- Neighbouring rows get different words, because 7 divides the length of no list below.
create or replace function pg_temp.word(i bigint, stream text, seed bigint, words text[]) returns text
language sql immutable
as 'select words[1 + mod(i * 7 + pg_temp.roll(0, stream, seed, cardinality(words)), cardinality(words))]';

-- name: moment
create or replace function pg_temp.moment(part double precision, until timestamp) returns timestamp
language sql immutable
as 'select date_trunc(''milliseconds'', until - interval ''730 days'' * (1 - part))';

-- name: set_references_aside
-- Checking 15 million references row by row would take longer than all the rest. A key that is added back is checked in
-- one join.
create temporary table generated_reference on commit drop as
select
    conrelid::regclass::text as table_name,
    conname as reference_name,
    pg_get_constraintdef(oid) as definition
from pg_constraint
where contype = 'f' and conrelid in (select to_regclass(name)::oid from unnest(%(tables)s::text[]) as name);

-- name: drop_references
do $$
declare reference record;
begin
    for reference in select * from generated_reference loop
        execute format('alter table %s drop constraint %I', reference.table_name, reference.reference_name);
    end loop;
end $$;

-- name: department
insert into department (department_id, department_name, location, manager, created_at, last_updated)
select
    place,
    name,
    location,
    manager,
    pg_temp.moment(0, %(until)s::timestamp),
    pg_temp.moment(0, %(until)s::timestamp)
from (values
    (1, 'Sales', 'Manchester', 'Harriet Boothroyd'),
    (2, 'Purchasing', 'Manchester', 'Winston Adeyemi'),
    (3, 'Production', 'Leeds', 'Greta Lindqvist'),
    (4, 'Dispatch', 'Leeds', 'Callum Ferris'),
    (5, 'Finance', 'Manchester', 'Priya Raman'),
    (6, 'Facilities', 'Manchester', 'Owen Pritchard'),
    (7, 'Communications', 'Leeds', 'Amara Nwosu'),
    (8, 'HR', 'Leeds', 'Jolanta Mazur')
) as given (place, name, location, manager);

-- name: currency
insert into currency (currency_id, currency_code, created_at, last_updated)
select place, code, pg_temp.moment(0, %(until)s::timestamp), pg_temp.moment(0, %(until)s::timestamp)
from (values (1, 'GBP'), (2, 'USD'), (3, 'EUR')) as given (place, code);

-- name: payment_type
insert into payment_type (payment_type_id, payment_type_name, created_at, last_updated)
select place, name, pg_temp.moment(0, %(until)s::timestamp), pg_temp.moment(0, %(until)s::timestamp)
from (values
    (1, 'SALES_RECEIPT'), (2, 'SALES_REFUND'), (3, 'PURCHASE_PAYMENT'), (4, 'PURCHASE_REFUND')
) as given (place, name);

-- name: staff
with
words as (
    select
        '{Ada,Bashir,Carmen,Dmitri,Eilidh,Farah,Gwen,Hassan,Imogen,Jakub,Kezia,Liam,Mei,Niall,Olga,Parveen,Quentin,Rosa,
        Samir,Tamsin,Ugo,Vera,Wilf,Yasmin,Zoltan,Bronagh}'::text[] as first_names,
        '{Abbott,Banerjee,Castellano,Doyle,Eriksen,Fairclough,Gallagher,Hussain,Ivanova,Jarvis,Kowalski,Lockwood,
        Mensah,Nakamura,O''Connor,Pemberton,Quigley,Rashid,Sorensen,Thackeray,Umar,Vasquez,Whitworth}'::text[] as last_names
),
people as (
    select
        i,
        pg_temp.word(i, 'first name', %(seed)s::bigint, first_names) as first_name,
        pg_temp.word(i, 'last name', %(seed)s::bigint, last_names) as last_name
    from generate_series(1, %(staff)s::integer) as i, words
)
insert into staff (staff_id, first_name, last_name, department_id, email_address, created_at, last_updated)
select
    i,
    first_name,
    last_name,
    1 + pg_temp.roll(i, 'staff department', %(seed)s::bigint, %(department)s::bigint),
    lower(first_name || '.' || replace(last_name, '''', '')) || '@totes.example',
    pg_temp.moment(0, %(until)s::timestamp),
    pg_temp.moment(0, %(until)s::timestamp)
from people;

-- name: address
with
words as (
    select
        '{Mill Lane,Station Road,Castle Street,Harbour View,Canal Wharf,Park Avenue,Church Hill,Foundry Yard,Orchard Close,
        Market Place,Victoria Terrace,Weavers Row,Abbey Fields,Bridge Street,Quarry Road,Chapel Walk,Tannery Court,
        Granary Square,Ropewalk,Lime Grove,Dock Road,Priory Gardens,Spinners Way,Beacon Rise,Kiln Street,Meadow Drive,
        Ferry Lane,Signal House,Copper Beech Way,Old Exchange}'::text[] as streets,
        '{Unit 3,Second Floor,The Old Bakery,Block C,Suite 12,Rear Courtyard}'::text[] as seconds,
        '{Greater Manchester,West Yorkshire,Avon,Bedfordshire,Berkshire,Cumbria,Kent,Borders}'::text[] as districts,
        '{Manchester|United Kingdom,Lyon|France,Porto|Portugal,Leeds|United Kingdom,Aarhus|Denmark,Chicago|United States of America,
        Galway|Ireland,Bristol|United Kingdom,Antwerp|Belgium,Bilbao|Spain,Leipzig|Germany,Cardiff|United Kingdom,
        Toronto|Canada,Turin|Italy,Gdansk|Poland,Glasgow|United Kingdom,Utrecht|Netherlands,Graz|Austria,Tampere|Finland}'::text[]
            as cities
),
places as (
    select
        i,
        words.*,
        string_to_array(pg_temp.word(i, 'city', %(seed)s::bigint, cities), '|') as city
    from generate_series(1, %(address)s::integer) as i, words
)
insert into address (
    address_id, address_line_1, address_line_2, district, city, postal_code, country, phone, created_at, last_updated
)
select
    i,
    (1 + pg_temp.roll(i, 'house', %(seed)s::bigint, 240))::text || ' ' || pg_temp.word(i, 'street', %(seed)s::bigint, streets),
    case when pg_temp.roll(i, 'has line 2', %(seed)s::bigint, 10) < 3
        then pg_temp.word(i, 'line 2', %(seed)s::bigint, seconds) end,
    case when pg_temp.roll(i, 'has district', %(seed)s::bigint, 10) < 5
        then pg_temp.word(i, 'district', %(seed)s::bigint, districts) end,
    city[1],
    lpad(pg_temp.roll(i, 'postal code', %(seed)s::bigint, 100000)::text, 5, '0'),
    city[2],
    lpad(pg_temp.roll(i, 'area code', %(seed)s::bigint, 10000)::text, 4, '0') || ' '
    || lpad(pg_temp.roll(i, 'phone', %(seed)s::bigint, 1000000)::text, 6, '0'),
    pg_temp.moment(0, %(until)s::timestamp),
    pg_temp.moment(0, %(until)s::timestamp)
from places;

-- name: counterparty
with
words as (
    select
        '{Ashdown,Bellweather,Calloway,Drummond,Elverson,Fairhaven,Greenacre,Holloway,Inverness,Juniper,Kestrel,
        Larkspur,Merriweather,Northgate,Oakhurst,Pinnacle,Quayside,Redfern,Silverdale,Thornbury,Underhill,Vantage,
        Westbrook}'::text[] as names,
        '{Retail,and Sons,Textiles,Ltd,Trading Company,Group,Supply,Imports}'::text[] as kinds,
        '{Marta Oyelaran,Joel Whitcombe,Dana Petrova,Sunil Kapoor,Aoife Brennan,Tomas Ribeiro,Leila Haddad,Piers Cavendish,
        Ingrid Solheim,Mateo Fuentes,Hannah Osei,Radek Novak,Chiara Bellini}'::text[] as people
)
insert into counterparty (
    counterparty_id, counterparty_legal_name, legal_address_id, commercial_contact, delivery_contact, created_at, last_updated
)
select
    i,
    pg_temp.word(i, 'company', %(seed)s::bigint, names) || ' ' || pg_temp.word(i, 'company kind', %(seed)s::bigint, kinds),
    1 + pg_temp.roll(i, 'legal address', %(seed)s::bigint, %(address)s::bigint),
    pg_temp.word(i, 'commercial contact', %(seed)s::bigint, people),
    pg_temp.word(i, 'delivery contact', %(seed)s::bigint, people),
    pg_temp.moment(0, %(until)s::timestamp),
    pg_temp.moment(0, %(until)s::timestamp)
from generate_series(1, %(counterparty)s::integer) as i, words;

-- name: design
-- A fifth of the designs, at least one, is there from the start; the others come evenly over the two years.
with
words as (
    select
        '{Bronze,Canvas,Concrete,Cotton,Fresh,Frozen,Granite,Hemp,Linen,Metal,Plastic,Recycled,Rubber,Soft,Steel,
        Wooden}'::text[] as names,
        '{/bin,/etc/periodic,/lib,/media,/opt/share,/private,/srv,/System,/Users,/usr/share}'::text[] as locations
),
drawn as (
    select
        i,
        pg_temp.word(pg_temp.roll(i, 'design name', %(seed)s::bigint, 16), '', 0, names) as name,
        pg_temp.word(pg_temp.roll(i, 'design location', %(seed)s::bigint, 10), '', 0, locations) as location,
        greatest(
            pg_temp.moment(0, %(until)s::timestamp),
            pg_temp.moment(
                case when i = 1 then 0 else (i::double precision / %(design)s::integer - 0.2) / 0.8 end,
                %(until)s::timestamp - interval '1 hour'
            )
        ) as created_at
    from generate_series(1, %(design)s::integer) as i, words
)
insert into design (design_id, created_at, design_name, file_location, file_name, last_updated)
select
    i,
    created_at,
    name,
    location,
    format(
        '%%s-%%s-%%s.json',
        lower(name),
        to_char(created_at - interval '1 day' * pg_temp.roll(i, 'drawn', %(seed)s::bigint, 400), 'YYYYMMDD'),
        left(md5(pg_temp.lot(i, 'file', %(seed)s::bigint)::text), 4)
    ),
    created_at
from drawn;

-- name: sales_order
-- An order names a design that existed by then, so the two numbers are those above.
with
drawn as (
    select
        i,
        (i - 1 + pg_temp.roll(i, 'sale', %(seed)s::bigint, 1000) / 1000.0::double precision) / %(sales_order)s::integer as part
    from generate_series(1, %(sales_order)s::integer) as i
),
placed as (
    select i, part, pg_temp.moment(part, %(until)s::timestamp) as created_at from drawn
)
insert into sales_order (
    sales_order_id, created_at, last_updated, design_id, staff_id, counterparty_id, units_sold, unit_price, currency_id,
    agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id
)
select
    i,
    created_at,
    created_at,
    1 + pg_temp.roll(
        i, 'sold design', %(seed)s::bigint, greatest(1, floor(%(design)s::integer * (0.2 + 0.8 * part))::bigint)
    ),
    1 + pg_temp.roll(i, 'seller', %(seed)s::bigint, %(staff)s::bigint),
    1 + pg_temp.roll(i, 'customer', %(seed)s::bigint, %(counterparty)s::bigint),
    1000 + pg_temp.roll(i, 'units', %(seed)s::bigint, 99001),
    (200 + pg_temp.roll(i, 'unit price', %(seed)s::bigint, 201)) * 0.01,
    1 + pg_temp.roll(i, 'sale currency', %(seed)s::bigint, %(currency)s::bigint),
    to_char(created_at + interval '1 day' * (1 + pg_temp.roll(i, 'sale delivery', %(seed)s::bigint, 7)), 'YYYY-MM-DD'),
    to_char(created_at + interval '1 day' * pg_temp.roll(i, 'sale payment', %(seed)s::bigint, 7), 'YYYY-MM-DD'),
    1 + pg_temp.roll(i, 'sale location', %(seed)s::bigint, %(address)s::bigint)
from placed;

-- name: purchase_order
with
drawn as (
    select
        i,
        (i - 1 + pg_temp.roll(i, 'purchase', %(seed)s::bigint, 1000) / 1000.0::double precision)
        / %(purchase_order)s::integer as part
    from generate_series(1, %(purchase_order)s::integer) as i
),
placed as (
    select i, pg_temp.moment(part, %(until)s::timestamp) as created_at from drawn
)
insert into purchase_order (
    purchase_order_id, created_at, last_updated, staff_id, counterparty_id, item_code, item_quantity, item_unit_price,
    currency_id, agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id
)
select
    i,
    created_at,
    created_at,
    1 + pg_temp.roll(i, 'buyer', %(seed)s::bigint, %(staff)s::bigint),
    1 + pg_temp.roll(i, 'supplier', %(seed)s::bigint, %(counterparty)s::bigint),
    translate(
        left(md5(pg_temp.roll(i, 'item', %(seed)s::bigint, 900)::text), 7), '0123456789abcdef', 'QZK3DR7XM4VW9TB2'
    ),
    1 + pg_temp.roll(i, 'quantity', %(seed)s::bigint, 999),
    (300 + pg_temp.roll(i, 'item price', %(seed)s::bigint, 99700)) * 0.01,
    1 + pg_temp.roll(i, 'purchase currency', %(seed)s::bigint, %(currency)s::bigint),
    to_char(created_at + interval '1 day' * (1 + pg_temp.roll(i, 'purchase delivery', %(seed)s::bigint, 7)), 'YYYY-MM-DD'),
    to_char(created_at + interval '1 day' * pg_temp.roll(i, 'purchase payment', %(seed)s::bigint, 7), 'YYYY-MM-DD'),
    1 + pg_temp.roll(i, 'purchase location', %(seed)s::bigint, %(address)s::bigint)
from placed;

-- name: due
-- What is to be paid: each order once, and refunds, spread evenly over the orders of the first 95 percent of the time, so
-- that a refund, which comes within 30 days, does not lie in the future.
create temporary table generated_due on commit drop as
with
sales_refund as (
    select floor((i - 0.5) * 0.95 * %(sales_order)s::integer / %(sales_refund)s::integer)::integer + 1 as sales_order_id
    from generate_series(1, %(sales_refund)s::integer) as i
),
purchase_refund as (
    select
        floor((i - 0.5) * 0.95 * %(purchase_order)s::integer / %(purchase_refund)s::integer)::integer + 1 as purchase_order_id
    from generate_series(1, %(purchase_refund)s::integer) as i
),
due as (
    select
        'SALE' as transaction_type,
        sales_order_id,
        null::integer as purchase_order_id,
        created_at,
        counterparty_id,
        units_sold * unit_price as amount,
        currency_id,
        1 as payment_type_id,
        agreed_payment_date::date as due_date
    from sales_order
    union all
    select
        'PURCHASE',
        null,
        purchase_order_id,
        created_at,
        counterparty_id,
        item_quantity * item_unit_price,
        currency_id,
        3,
        agreed_payment_date::date
    from purchase_order
    union all
    select
        'SALE',
        sales_order_id,
        null,
        created_at + interval '1 day' * (5 + pg_temp.roll(sales_order_id, 'sale refund', %(seed)s::bigint, 26)),
        counterparty_id,
        round(units_sold * unit_price * (5 + pg_temp.roll(sales_order_id, 'sale refund part', %(seed)s::bigint, 96)) * 0.01, 2),
        currency_id,
        2,
        created_at::date + 35
    from sales_order
    inner join sales_refund using (sales_order_id)
    union all
    select
        'PURCHASE',
        null,
        purchase_order_id,
        created_at + interval '1 day' * (5 + pg_temp.roll(purchase_order_id, 'buy refund', %(seed)s::bigint, 26)),
        counterparty_id,
        round(
            item_quantity * item_unit_price
            * (5 + pg_temp.roll(purchase_order_id, 'buy refund part', %(seed)s::bigint, 96)) * 0.01,
            2
        ),
        currency_id,
        4,
        created_at::date + 35
    from purchase_order
    inner join purchase_refund using (purchase_order_id)
)
select
    due.*,
    row_number() over (order by created_at, payment_type_id, sales_order_id, purchase_order_id)::integer as i
from due;

-- name: transaction
insert into transaction (transaction_id, transaction_type, sales_order_id, purchase_order_id, created_at, last_updated)
select i, transaction_type, sales_order_id, purchase_order_id, created_at, created_at
from generated_due;

-- name: payment
-- Three in five are paid on the day they are due, if that day has come.
with
settled as (
    select
        generated_due.*,
        greatest(
            due_date + interval '9 hours' + interval '1 millisecond' * pg_temp.roll(i, 'paid at', %(seed)s::bigint, 28800000),
            created_at + interval '1 minute' * (1 + pg_temp.roll(i, 'paid after', %(seed)s::bigint, 59))
        ) as paid_at
    from generated_due
),
drawn as (
    select
        settled.*,
        pg_temp.roll(i, 'is paid', %(seed)s::bigint, 100) < 62 and paid_at <= %(until)s::timestamp as is_paid
    from settled
)
insert into payment (
    payment_id, created_at, last_updated, transaction_id, counterparty_id, payment_amount, currency_id, payment_type_id,
    paid, payment_date, company_ac_number, counterparty_ac_number
)
select
    i,
    created_at,
    case when is_paid then paid_at else created_at end,
    i,
    counterparty_id,
    amount,
    currency_id,
    payment_type_id,
    is_paid,
    to_char(case when is_paid then paid_at else due_date end, 'YYYY-MM-DD'),
    10000000 + pg_temp.roll(currency_id, 'company account', %(seed)s::bigint, 90000000),
    10000000 + pg_temp.roll(counterparty_id, 'counterparty account', %(seed)s::bigint, 90000000)
from drawn;

-- name: restore_references
do $$
declare reference record;
begin
    for reference in select * from generated_reference order by table_name, reference_name loop
        execute format(
            'alter table %s add constraint %I %s', reference.table_name, reference.reference_name, reference.definition
        );
    end loop;
end $$;
