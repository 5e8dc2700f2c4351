-- A grocer: no column says when a row was changed, keys are texts and composites, prices are floats, pictures are bytes.

create table kind (
    kind_no smallint primary key,
    kind_name varchar(15) not null,
    description text,
    picture bytea
);

create table grower (
    grower_no smallint primary key,
    company varchar(40) not null,
    country varchar(15)
);

create table article (
    article_no smallint primary key,
    article_name varchar(40) not null,
    grower_no smallint references grower,
    kind_no smallint references kind,
    unit_price real,
    in_stock smallint,
    discontinued integer not null
);

create table buyer (
    buyer_code char(5) primary key,
    company varchar(40) not null,
    "City" varchar(15)
);

create table trait (
    trait_code text primary key,
    description text
);

create table buyer_trait (
    buyer_code char(5) not null references buyer,
    trait_code text not null references trait,
    primary key (buyer_code, trait_code)
);

create table clerk (
    clerk_no smallint primary key,
    last_name varchar(20) not null,
    born date,
    photo bytea,
    reports_to smallint references clerk
);

create table carrier (
    carrier_no smallint primary key,
    company varchar(40) not null
);

create table purchase (
    purchase_no smallint primary key,
    buyer_code char(5) references buyer,
    clerk_no smallint references clerk,
    ordered_on date,
    shipped_on date,
    carrier_no smallint references carrier,
    freight real
);

create table purchase_line (
    purchase_no smallint not null references purchase,
    article_no smallint not null references article,
    unit_price real not null,
    quantity smallint not null,
    discount real not null,
    primary key (purchase_no, article_no)
);

create table remark (words text);

insert into kind values (1, 'drinks', 'tea and more', '\x00ff89'), (2, 'bread', null, null);
insert into grower values (1, 'Hill Farm', 'Wales'), (2, 'Valley', null);
insert into article values (1, 'tea', 1, 1, 18, 39, 0), (2, 'rye', 2, 2, 2.2, 0, 1), (3, 'nothing', null, null, null, null, 0);
insert into buyer values ('ALFKI', 'Alfred', 'Berlin'), ('AB', 'Abigail', null);
insert into trait values ('old', 'for long'), ('Old', null);
insert into buyer_trait values ('ALFKI', 'old'), ('AB', 'Old');
insert into clerk values (1, 'Davolio', '1968-12-08', '\xdeadbeef', null), (2, 'Fuller', null, null, 1);
insert into carrier values (1, 'Speedy'), (2, 'United');
insert into purchase values
(10, 'ALFKI', 1, '2024-07-04', '2024-07-16', 1, 32.38), (11, 'AB', 2, '2024-07-05', null, 2, 11.61), (12, null, null, null, null, null, null);
insert into purchase_line values (10, 1, 14, 12, 0), (10, 2, 9.8, 10, 0.05), (11, 1, 18.6, 9, 0.15);
