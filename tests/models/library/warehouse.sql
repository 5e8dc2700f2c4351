create table dim_shelf (
    shelf_id integer primary key,
    label varchar not null
);

create table fact_loan (
    loan_record_id bigint primary key,
    loan_id integer not null,
    shelf_id integer not null references dim_shelf,
    fee numeric(10, 2) not null,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp
);
