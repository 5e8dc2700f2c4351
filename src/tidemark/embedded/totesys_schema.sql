-- The source database of a tote-bag company: who works there, whom it deals with, what it sells, buys, owes and is owed.
-- A date agreed with a counterparty is text (YYYY-MM-DD), as in the system that this one is like.

create table department (
    department_id integer primary key,
    department_name varchar not null,
    location varchar,
    manager varchar,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);

create table staff (
    staff_id integer primary key,
    first_name varchar not null,
    last_name varchar not null,
    department_id integer not null references department,
    email_address varchar not null,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);

create table address (
    address_id integer primary key,
    address_line_1 varchar not null,
    address_line_2 varchar,
    district varchar,
    city varchar not null,
    postal_code varchar not null,
    country varchar not null,
    phone varchar not null,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);

create table counterparty (
    counterparty_id integer primary key,
    counterparty_legal_name varchar not null,
    legal_address_id integer not null references address,
    commercial_contact varchar,
    delivery_contact varchar,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);

create table currency (
    currency_id integer primary key,
    currency_code varchar(3) not null,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);

create table payment_type (
    payment_type_id integer primary key,
    payment_type_name varchar not null,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);

create table design (
    design_id integer primary key,
    created_at timestamp(3) not null default current_timestamp,
    design_name varchar not null,
    file_location varchar not null,
    file_name varchar not null,
    last_updated timestamp(3) not null default current_timestamp
);

create table sales_order (
    sales_order_id integer primary key,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp,
    design_id integer not null references design,
    staff_id integer not null references staff,
    counterparty_id integer not null references counterparty,
    units_sold integer not null,
    unit_price numeric not null,
    currency_id integer not null references currency,
    agreed_delivery_date varchar not null,
    agreed_payment_date varchar not null,
    agreed_delivery_location_id integer not null references address
);

create table purchase_order (
    purchase_order_id integer primary key,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp,
    staff_id integer not null references staff,
    counterparty_id integer not null references counterparty,
    item_code varchar not null,
    item_quantity integer not null,
    item_unit_price numeric not null,
    currency_id integer not null references currency,
    agreed_delivery_date varchar not null,
    agreed_payment_date varchar not null,
    agreed_delivery_location_id integer not null references address
);

create table transaction (
    transaction_id integer primary key,
    transaction_type varchar not null,
    sales_order_id integer references sales_order,
    purchase_order_id integer references purchase_order,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);

create table payment (
    payment_id integer primary key,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp,
    transaction_id integer not null references transaction,
    counterparty_id integer not null references counterparty,
    payment_amount numeric not null,
    currency_id integer not null references currency,
    payment_type_id integer not null references payment_type,
    paid boolean not null,
    payment_date varchar not null,
    company_ac_number integer not null,
    counterparty_ac_number integer not null
);
