-- A cinema: an enum, domains, arrays, a tsvector, a partitioned table, and stamps that a trigger keeps.

create type grade as enum ('G', 'PG', 'R-18');
create domain year as integer constraint year_check check (value between 1901 and 2155);
create domain words as text;

create function stamped() returns trigger language plpgsql as $$
begin
    NEW.last_update = current_timestamp;
    return NEW;
end $$;

create table tongue (
    tongue_id serial primary key,
    name char(20) not null,
    last_update timestamp without time zone not null default now()
);

create table film (
    film_id serial primary key,
    title text not null,
    release_year year,
    tongue_id smallint not null references tongue,
    original_tongue_id smallint references tongue,
    rate numeric(4, 2) not null default 4.99,
    rating grade default 'G',
    special_features text[],
    synopsis words,
    fulltext tsvector not null,
    last_update timestamp with time zone not null default now()
);

create table shop (
    shop_id serial primary key,
    town text not null,
    manager_id integer not null,
    last_update timestamp with time zone not null default now()
);

create table assistant (
    assistant_id serial primary key,
    shop_id integer not null references shop,
    active boolean not null default true,
    picture bytea,
    last_update timestamp with time zone not null default now()
);

alter table shop add foreign key (manager_id) references assistant deferrable initially deferred;

create table member (
    member_id serial primary key,
    shop_id integer not null references shop,
    email text,
    create_date date not null default current_date,
    last_update timestamp with time zone default now()
);

create table copy (
    copy_id serial primary key,
    film_id integer not null references film,
    shop_id integer not null references shop,
    last_update timestamp with time zone not null default now()
);

create table actor (
    actor_id serial primary key,
    name text not null,
    last_update timestamp with time zone not null default now()
);

create table film_actor (
    actor_id integer not null references actor,
    film_id integer not null references film,
    last_update timestamp with time zone not null default now(),
    primary key (actor_id, film_id)
);

create table rental (
    rental_id serial primary key,
    rental_time timestamp with time zone not null,
    copy_id integer not null references copy,
    member_id integer not null references member,
    return_date timestamp with time zone,
    assistant_id integer not null references assistant,
    last_update timestamp with time zone not null default now(),
    unique (rental_time, copy_id, member_id)
);

create table payment (
    payment_id serial,
    member_id integer not null references member,
    assistant_id integer not null references assistant,
    rental_id integer not null references rental,
    amount numeric(5, 2) not null,
    payment_date timestamp with time zone not null,
    primary key (payment_date, payment_id)
) partition by range (payment_date);

create table payment_p1 partition of payment for values from ('2024-01-01Z') to ('2024-02-01Z');
create table payment_p2 partition of payment for values from ('2024-02-01Z') to ('2024-03-01Z');

create view film_list as select film_id, title from film;
create materialized view takings as select sum(amount) as total from payment;

create trigger stamp before update on tongue for each row execute function stamped();
create trigger stamp before update on film for each row execute function stamped();
create trigger stamp before update on member for each row execute function stamped();
create trigger stamp before update on rental for each row execute function stamped();

insert into tongue (name) values ('English'), ('Deutsch');
insert into film (title, release_year, tongue_id, rating, special_features, fulltext) values
('Academy', 2006, 1, 'PG', '{Trailers,"Deleted, Scenes"}', to_tsvector('academy dinosaur')),
('Ace', null, 2, null, null, to_tsvector('ace goldfinger')), ('Affair', 1999, 1, 'R-18', '{}', to_tsvector(''));
begin;
insert into shop (town, manager_id) values ('Leeds', 1), ('Bath', 2);
insert into assistant (shop_id, picture) values (1, '\x00ff'), (2, null);
commit;
insert into member (shop_id, email) values (1, 'a@example.com'), (2, null);
insert into copy (film_id, shop_id) values (1, 1), (2, 1), (3, 2);
insert into actor (name) values ('Penelope'), ('Nick');
insert into film_actor (actor_id, film_id) values (1, 1), (1, 2), (2, 3);
insert into rental (rental_time, copy_id, member_id, return_date, assistant_id) values
('2024-01-24 22:53:30+00', 1, 1, '2024-01-26 22:04:30+00', 1), ('2024-01-31 23:54:33+00', 2, 2, null, 2);
insert into payment (member_id, assistant_id, rental_id, amount, payment_date) values
(1, 1, 1, 2.99, '2024-01-25 11:30:37.123456+00'), (2, 2, 2, 0.99, '2024-02-01 00:00:00+00');
