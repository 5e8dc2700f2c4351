-- Types of a user's own, and an extension's: what another database may have or lack.
create extension vector;
create schema "Own ""types""";
create type mood as enum ('sad', 'ok', 'a "quoted", one', '');
create type "Own ""types"""."Größe" as enum ('S', 'L');
create domain cents as numeric(12, 2) check (value >= 0);
create domain whole_cents as cents check (value = trunc(value));
create domain tag as text;
create domain tags as tag [];
create type place as (street text, number integer, at point);
create type trip as (origin place, stops place []);
create type pair as (a integer, b numeric);
create type floats as range (subtype = double precision);
