with referrals as (
    select
        referral_id,
        patient_no,
        referred_by,
        ward_code,
        urgent,
        referred_at,
        closed_on
    from referral
),

referrers as (
    select
        clinician_id,
        grade
    from clinician
)

select
    referrals.referral_id,
    referrals.patient_no,
    referrals.referred_by,
    referrers.grade as referrer_grade,
    referrals.ward_code,
    referrals.urgent,
    referrals.referred_at,
    cast(referrals.referred_at at time zone 'UTC' as date) as referred_on,
    referrals.closed_on
from referrals
left join referrers on referrals.referred_by = referrers.clinician_id
