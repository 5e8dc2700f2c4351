-- The clinic's warehouse.

create table dim_day (
    day_id date not null,
    year integer not null,
    is_weekend boolean not null,
    constraint dim_day_pkey primary key (day_id)
);

create table dim_patient (
    patient_no bigint not null,
    family_name varchar not null,
    given_name varchar not null,
    born date,
    insured boolean not null,
    constraint dim_patient_pkey primary key (patient_no)
);

create table dim_ward (
    ward_code varchar not null,
    ward_name varchar not null,
    building varchar,
    beds smallint not null,
    constraint dim_ward_pkey primary key (ward_code)
);

create table dim_clinician (
    clinician_id uuid not null,
    full_name varchar not null,
    title varchar,
    ward_name varchar,
    constraint dim_clinician_pkey primary key (clinician_id)
);

create table fact_treatment (
    treatment_record_id bigint not null,
    patient_no bigint not null,
    given_on date not null,
    line_no smallint not null,
    ward_code varchar not null,
    clinician_id uuid not null,
    drug varchar not null,
    dose numeric(12, 4) not null,
    cost numeric(12, 2),
    took varchar,
    entered timestamp not null,
    changed timestamp,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    constraint fact_treatment_pkey primary key (treatment_record_id),
    constraint fact_treatment_patient_no_fkey foreign key (patient_no) references dim_patient (patient_no),
    constraint fact_treatment_given_on_fkey foreign key (given_on) references dim_day (day_id),
    constraint fact_treatment_ward_code_fkey foreign key (ward_code) references dim_ward (ward_code),
    constraint fact_treatment_clinician_id_fkey foreign key (clinician_id) references dim_clinician (clinician_id),
    constraint fact_treatment_valid_to_check check (valid_to > valid_from)
);

create table fact_referral (
    referral_record_id bigint not null,
    referral_id uuid not null,
    patient_no bigint not null,
    referred_by uuid not null,
    referrer_grade smallint,
    ward_code varchar,
    urgent boolean not null,
    referred_at timestamptz not null,
    referred_on date not null,
    closed_on date,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    constraint fact_referral_pkey primary key (referral_record_id),
    constraint fact_referral_patient_no_fkey foreign key (patient_no) references dim_patient (patient_no),
    constraint fact_referral_referred_by_fkey foreign key (referred_by) references dim_clinician (clinician_id),
    constraint fact_referral_ward_code_fkey foreign key (ward_code) references dim_ward (ward_code),
    constraint fact_referral_referred_on_fkey foreign key (referred_on) references dim_day (day_id),
    constraint fact_referral_closed_on_fkey foreign key (closed_on) references dim_day (day_id),
    constraint fact_referral_valid_to_check check (valid_to > valid_from)
);
