-- What becomes of the tables of tables.sql between two runs.

-- Of each key another column changes, then the text of the key where there is an equal value; one key goes, one comes.
do $keys$
declare
    each record;
begin
    for each in
        select
            type as name,
            equal_texts,
            case when right(type, 2) = '[]' then 'every_array' else 'every_type' end as held
        from as_key
        where refusal is null
    loop
        execute format('update key.%I set note = %L', each.name, '2');
        execute format(
            'update key.%1$I as t set k = v.%1$I from %2$s as v where v.%1$I = t.k'
            ' and format(''%%s'', t.k) = $1[1] and format(''%%s'', v.%1$I) = $1[2]',
            each.name, each.held
        ) using each.equal_texts;
        execute format(
            'delete from key.%1$I where k = ('
            'select k from key.%1$I where format(''%%s'', k) <> all(coalesce($1, array[]::text[])) order by k limit 1)',
            each.name
        ) using each.equal_texts;
        execute format(
            'insert into key.%1$I (k) select %1$I from %2$s where %1$I is not null order by %1$I desc limit 1',
            each.name, each.held
        );
    end loop;
end
$keys$;

-- A value goes to another row, a row becomes null, another gets what it had not, one goes, one comes, one comes and goes.
do $values$
declare
    each record;
begin
    for each in
        select attrelid::regclass as of_table, attname as name
        from pg_attribute
        where
            attrelid in ('every_type'::regclass, 'every_array'::regclass) and attnum > 1
            and attgenerated = '' and attidentity = ''
    loop
        execute format(
            'update %1$s set %2$I = (select %2$I from %1$s where %2$I is not null order by id limit 1) where id = 0',
            each.of_table, each.name
        );
        execute format(
            'update %1$s set %2$I = null where id = (select max(id) from %1$s where id > 0 and %2$I is not null)',
            each.of_table, each.name
        );
    end loop;
end
$values$;

delete from every_type where id = 1;
delete from every_array where id = 3;
insert into every_type (id, text) values (-1, 'came'), (-2, 'came and went');
update every_type set text = 'and went on' where id = -1;
delete from every_type where id = -2;

update "Quoted_"" . Table" set "select" = 'z', batch_id = -8 where "The ""Key"". " = 1;
delete from "Quoted_"" . Table" where "The ""Key"". " = 2;

-- A partition leaves with its rows, one comes with rows, one is cut off and joined again, a row changes its partition.
alter table partitioned_further detach partition south;
create table east (amount numeric(78, 2), region text not null, note text, id integer not null);
insert into east values (-1, 'east', 'joined', 7);
alter table partitioned_further attach partition east for values in ('east');
alter table partitioned detach partition in_other_order;
update in_other_order set note = 'changed while it was apart' where id = 1;
alter table partitioned attach partition in_other_order for values in ('north');
update partitioned set region = 'north', note = 'moved' where region = 'west' and id = 9;
update partitioned set region = 'north', id = 9 where region = 'west' and id = 2;

update only parent set name = 'changed' where id = 1;
delete from child where id = 2;
insert into child values (4, 'new', 'more');
alter table parent add column since date default '2024-01-01';
update generated set price = 3 where id = 1;
refresh materialized view summary;
insert into empty values (1, 'no longer');
insert into only_a_key values ('', '-infinity');
delete from only_a_key where a = 'NULL';
insert into two_keys values (1, 'x', 'a'), (1, 'y', 'b');

-- Columns that come with a default, go, become wider, and take another's name.
alter table columns_37 add column added integer not null default 5;
alter table columns_37 add column computed text default md5('a');
alter table columns_37 drop column c34;
alter table columns_37 alter column digits_76 type numeric(80, 2);
alter table columns_37 alter column c4 type text;
update columns_37 set c4 = 'a text' where id = 2;
alter table columns_300 drop column c150;
alter table columns_300 alter column c151 type integer using length(c151);
alter table columns_300 rename column c152 to c150;
update columns_300 set c150 = 'under another name', c151 = 151 where c1 = 2;
