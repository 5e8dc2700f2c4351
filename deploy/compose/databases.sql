-- What the databases of compose.yml hold at first: a small shop as the source, so that the first run brings some rows,
-- and an empty warehouse.

create table customer (
    customer_id integer primary key generated always as identity,
    name text not null,
    last_updated timestamp not null default (now() at time zone 'UTC')
);

create table purchase (
    purchase_id integer primary key generated always as identity,
    customer_id integer not null references customer,
    amount numeric(10, 2) not null,
    last_updated timestamp not null default (now() at time zone 'UTC')
);

insert into customer (name) values ('Ada'), ('Grace'), ('Edgar');

insert into purchase (customer_id, amount) values (1, 9.90), (1, 25.00), (2, 3.50), (3, 120.00);

create database warehouse;
