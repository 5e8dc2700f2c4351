-- The clinic's own database. An update of a ward's code reaches its rows by cascade.

create schema registry;

create table registry.patient (
    patient_no bigint primary key,
    family_name text not null,
    given_name text not null,
    born date,
    insured boolean not null default true,
    address jsonb,
    registered_at timestamptz not null default now()
);

create table ward (
    ward_code text primary key,
    ward_name text not null,
    building text,
    beds smallint not null,
    altered_at timestamptz not null default now()
);

create table clinician (
    clinician_id uuid primary key,
    full_name text not null,
    ward_code text references ward on update cascade,
    grade smallint,
    altered_at timestamptz not null default now()
);

create table treatment (
    patient_no bigint not null references registry.patient,
    given_on date not null,
    line smallint not null,
    ward_code text not null references ward on update cascade,
    clinician_id uuid not null references clinician,
    drug text not null,
    dose numeric(12, 4) not null,
    cost numeric,
    took interval,
    entered timestamp not null,
    changed timestamp,
    primary key (patient_no, given_on, line)
);

create table referral (
    referral_id uuid primary key,
    patient_no bigint not null references registry.patient,
    referred_by uuid not null references clinician,
    ward_code text references ward on update cascade,
    urgent boolean not null,
    referred_at timestamptz not null,
    closed_on date,
    details json,
    altered_at timestamptz not null
);

create index on ward (altered_at);
create index on treatment (changed);
create index on referral (altered_at);
