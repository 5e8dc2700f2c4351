create table shelf (
    shelf_id integer primary key,
    label text not null,
    changed timestamp not null
);

create table loan (
    loan_id integer primary key,
    shelf_id integer not null references shelf,
    fee numeric(10, 2) not null,
    changed timestamp not null
);
