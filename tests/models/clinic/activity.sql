-- What happens to the clinic after rows.sql. Each part that a line `-- batch` opens can be run by itself, in order.

-- batch: inserts, an update by parts of a composite key, deletes
insert into registry.patient (patient_no, family_name, given_name, born, insured, registered_at)
values (9000000041, 'Late', 'Arrival', '2024-11-01', true, '2024-11-02 10:00:00+00');

insert into treatment (patient_no, given_on, line, ward_code, clinician_id, drug, dose, cost, took, entered, changed)
values
    (
        9000000041, '2024-11-02', 1, 'A&E', md5('clinician 1')::uuid, 'Aspirin', 0.5, 0.01, '00:10',
        '2024-11-02 10:05:00', '2024-11-02 10:05:00'
    ),
    (
        9000000041, '2024-11-02', 2, 'A&E', md5('clinician 2')::uuid, 'Ibuprofen 200mg', 99999999.9999, null, null,
        '2024-11-02 10:06:00.000001', '2024-11-02 10:06:00.000001'
    );

update treatment
set dose = dose * 2, changed = '2024-11-02 11:00:00'
where patient_no = 9000000005 and given_on = '2024-03-30';

delete from treatment
where (patient_no, given_on, line) in ((9000000002, '2024-03-31', 1), (9000000011, '2024-10-27', 10));

delete from referral
where referral_id in (md5('referral 3')::uuid, md5('referral 4')::uuid);

-- batch: updates that leave the stamp alone, one in a table without a stamp, a parent's name in another dimension
update registry.patient
set insured = not insured, address = '{"city": "York"}'
where patient_no in (9000000001, 9000000041);

update ward
set ward_name = 'Emergency Department', altered_at = '2024-11-03 07:00:00+00'
where ward_code = 'A&E';

update clinician
set grade = 4
where clinician_id = md5('clinician 1')::uuid;

update referral
set details = '{"note": "changed in a column that no star shows"}'
where referral_id = md5('referral 7')::uuid;

update referral
set closed_on = '2026-02-01', altered_at = '2024-11-03 07:30:00.5+01'
where referral_id = md5('referral 9')::uuid;

-- batch: a part of a composite key changes, a text key changes by cascade, a deleted key comes back
update treatment
set line = 1001, changed = '2024-11-04 12:00:00'
where (patient_no, given_on, line) = (9000000041, '2024-11-02', 2);

update ward
set ward_code = 'ICU-2', altered_at = '2024-11-04 12:01:00+00'
where ward_code = 'ICU';

insert into referral (
    referral_id, patient_no, referred_by, ward_code, urgent, referred_at, closed_on, details, altered_at
)
values (
    md5('referral 3')::uuid, 9000000003, md5('clinician 4')::uuid, null, true, '2024-11-04 12:02:00+00', null, null,
    '2024-11-04 12:02:00+00'
);

-- batch: a row inserted and deleted at once is not seen, a stamp two years back, a stamp that is null
insert into treatment (patient_no, given_on, line, ward_code, clinician_id, drug, dose, entered, changed)
values (
    9000000006, '2022-02-28', 1, 'Z', md5('clinician 3')::uuid, 'Aspirin', 1, '2022-02-28 09:00:00',
    '2022-02-28 09:00:00'
);

insert into treatment (patient_no, given_on, line, ward_code, clinician_id, drug, dose, entered, changed)
values (9000000006, '2022-02-28', 2, 'Z', md5('clinician 3')::uuid, 'Aspirin', 1, '2022-02-28 09:00:00', null);

insert into treatment (patient_no, given_on, line, ward_code, clinician_id, drug, dose, entered, changed)
values (9000000006, '2022-02-28', 3, 'Z', md5('clinician 3')::uuid, 'Aspirin', 1, '2022-02-28 09:00:00', null);

delete from treatment
where (patient_no, given_on, line) = (9000000006, '2022-02-28', 3);

delete from registry.patient
where patient_no in (9000000039, 9000000040);
