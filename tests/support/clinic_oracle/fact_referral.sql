select
    r.referral_id,
    r.patient_no,
    r.referred_by,
    c.grade as referrer_grade,
    r.ward_code,
    r.urgent,
    r.referred_at,
    (r.referred_at at time zone 'UTC')::date as referred_on,
    r.closed_on
from referral as r
left join clinician as c on r.referred_by = c.clinician_id
