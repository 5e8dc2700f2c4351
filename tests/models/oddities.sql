-- Tables with every odd name and every kind of key that a model made from the catalogue has to cope with.

create schema "Sales Dept";
create type colour as enum ('red', 'green');

create table "Sales Dept"."Customer" ("CustomerID" text primary key, "select" text, "a b" text, a_b text, "A_B " text);
create table "Sales Dept"."Order" (
    "ID" uuid primary key,
    "Customer" text not null references "Sales Dept"."Customer",
    "it's ""quoted"", 100% {x}" integer,
    valid_from timestamp,
    batch_id integer,
    is_deleted boolean,
    "order" numeric(50, 10),
    "Größe" numeric,
    "Order Date" timestamp(3),
    order_date date,
    "group" money
);
create table "Odd ""Table/" ("The Key" integer, "user" char(3), "last Updated" timestamptz, primary key ("user", "The Key"));
create table "таблица" ("имя" text primary key, "列" integer);
create table "date" (date date primary key);
create table "two
lines" (id integer primary key, "col
umn" text);
create table "Odd ""Table" ("The Key" integer, "user" char(3), "last Updated" timestamptz, primary key ("user", "The Key"));
create table nothing_but_its_key (id bigint primary key);
create table a_name_that_is_as_long_as_a_name_in_postgresql_may_be_at_all (
    a_name_that_is_as_long_as_a_name_in_postgresql_may_be_at_all integer primary key,
    a_name_that_is_as_long_as_a_name_in_postgresql_may_be_at_all2 integer
);
create table k_float (id double precision primary key);
create table k_numeric (id numeric primary key);
create table k_moment (id timestamptz primary key);
create table k_inet (id inet primary key);
create table k_enum (id colour primary key);
create table k_interval (id interval primary key);
create table k_json (id jsonb primary key);
create table k_array (id integer[] primary key);
create table k_bytes (id bytea primary key);
create table k_unique (id integer not null, name text, unique (id));
create table wide (id integer primary key, spans int4range, words tsvector, place point, bits bit(3), mac macaddr);
create table no_key (id integer, unique (id));
create table "Case" (id integer primary key);
create table "case" (id integer primary key);
create table twice (id integer primary key, "ID" integer);
create table calendar (id integer primary key);
create table base (id integer primary key);
create table child () inherits (base);
create table reserved (id integer primary key, _op text);
create table old_link (id integer primary key, other integer, made date, cost numeric);
insert into old_link values (1, 7, '2024-01-01', 1);
alter table old_link add foreign key (other) references nothing_but_its_key not valid;

insert into "Sales Dept"."Customer" values ('a', 'b', 'c', 'd', 'e'), ('A', null, null, null, null);
insert into "Sales Dept"."Order" values
('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a', 1, '2024-01-01', 7, true, 1.5, 0.1, '2024-02-01 23:59:59.9', '2024-02-01', 3),
('b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'A', null, null, null, null, null, null, null, null, null);
insert into "Odd ""Table" values (1, 'a', now()), (1, 'b ', null);
insert into "таблица" values ('значение', 1);
insert into "date" values ('2024-02-29');
insert into nothing_but_its_key values (9223372036854775807), (-1);
insert into k_float values (1.5), (-0.25), (1e300);
insert into k_numeric values (1.0), (0.1), (-3);
insert into k_moment values ('2024-01-01 00:00+02'), ('2024-01-01 00:00:00.123456Z');
insert into k_inet values ('10.0.0.1'), ('10.0.0.0/8');
insert into k_enum values ('red'), ('green');
insert into k_interval values ('1 day'), ('25 hours');
insert into k_json values ('{"a": 1}'), ('[]');
insert into k_array values ('{1,2}'), ('{}');
insert into k_bytes values ('\x00'), ('');
insert into k_unique values (1, null), (2, 'x');
insert into wide values (1, '[1,5)', to_tsvector('a b'), '(1,2)', '101', '08:00:2b:01:02:03');
