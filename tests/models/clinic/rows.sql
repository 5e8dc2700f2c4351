insert into registry.patient (patient_no, family_name, given_name, born, insured, address, registered_at)
select
    9000000000 + n,
    (array['Okafor', 'Ó Briain', 'Nguyễn', 'O''Neill', 'Smith, Jr.'])[n % 5 + 1],
    (array['Ada', 'Siobhán', 'Minh', 'Tab	Name', 'Quote "Q"', 'Back\slash'])[n % 6 + 1],
    case when n % 7 <> 0 then date '1931-02-28' + n * 613 end,
    n % 4 <> 0,
    case when n % 3 <> 0 then jsonb_build_object('city', 'Leeds', 'flat', n) end,
    timestamptz '2023-12-30 23:30:00+00' + n * interval '7 hours 13 minutes 0.000001 seconds'
from generate_series(1, 40) as n;

insert into ward (ward_code, ward_name, building, beds, altered_at)
values
    ('A&E', 'Emergency', 'North', 24, '2024-01-02 08:00:00.123456+00'),
    ('ICU', 'Intensive Care', 'North', 8, '2024-01-02 08:00:01+00'),
    ('Ä-1', 'Ärzte', null, 12, '2024-01-02 08:00:02.5+01'),
    ('O''N', 'O''Neill Wing', 'South', 30, '2024-01-02 08:00:03+00'),
    ('a b', 'Lower case, with a comma', 'South', 5, '2024-01-02 08:00:04+00'),
    ('007', 'Digits only', '', 7, '2024-01-02 08:00:05+00'),
    ('7', 'Digits without the noughts', 'East', 6, '2024-01-02 08:00:06+00'),
    ('null', 'A word that is no null', 'East', 1, '2024-01-02 08:00:07+00'),
    ('\N', 'COPY''s mark of a null', 'East', 2, '2024-01-02 08:00:08+00'),
    ('Z', 'Line
break', 'West', 3, '2024-01-02 08:00:09+00');

insert into clinician (clinician_id, full_name, ward_code, grade, altered_at)
select
    md5('clinician ' || n)::uuid,
    'Clinician ' || n,
    (array['A&E', 'ICU', 'Ä-1', 'O''N', 'a b', '007', null])[n % 7 + 1],
    case when n % 5 <> 0 then n % 4 + 1 end,
    timestamptz '2024-01-03 09:00:00+00' + n * interval '1 minute'
from generate_series(1, 15) as n;

-- Days around both of 2024's changes of the clock; stamps in the hour that came twice, on 27 October.
insert into treatment (
    patient_no, given_on, line, ward_code, clinician_id, drug, dose, cost, took, entered, changed
)
select
    9000000000 + n % 20 + 1,
    (array[date '2024-03-30', date '2024-03-31', date '2024-10-27', date '2024-12-31'])[n % 4 + 1],
    n,
    (array['A&E', 'ICU', 'Ä-1', '007', '7', '\N', 'null'])[n % 7 + 1],
    md5('clinician ' || n % 15 + 1)::uuid,
    (array['Aspirin', 'Paracetamol', 'Ibuprofen 200mg', ''])[n % 4 + 1],
    n * 1.0625,
    case when n % 6 <> 0 then n * 12.35 end,
    case when n % 3 <> 0 then n * interval '90 seconds' end,
    timestamp '2024-10-27 00:45:00' + n * interval '3 minutes',
    case when n % 9 <> 0 then timestamp '2024-10-27 00:45:00' + n * interval '3 minutes 0.25 seconds' end
from generate_series(1, 50) as n;

insert into referral (
    referral_id, patient_no, referred_by, ward_code, urgent, referred_at, closed_on, details, altered_at
)
select
    md5('referral ' || n)::uuid,
    9000000000 + n,
    md5('clinician ' || n % 15 + 1)::uuid,
    (array['ICU', 'O''N', 'Z', null])[n % 4 + 1],
    n % 3 = 0,
    timestamptz '2024-06-30 23:30:00-05' + n * interval '11 hours',
    case when n % 2 = 0 then date '2025-01-01' + n end,
    json_build_object('note', 'seen', 'times', n),
    timestamptz '2024-07-01 12:00:00.000001+00' + n * interval '11 hours'
from generate_series(1, 30) as n;
