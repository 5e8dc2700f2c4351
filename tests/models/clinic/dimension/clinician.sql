with clinicians as (
    select
        clinician_id,
        full_name,
        ward_code,
        grade
    from clinician
),

wards as (
    select
        ward_code,
        ward_name
    from ward
),

titles as (
    select
        cast(grade as smallint) as grade,
        title
    from grades
)

select
    clinicians.clinician_id,
    clinicians.full_name,
    titles.title,
    wards.ward_name
from clinicians
left join wards on clinicians.ward_code = wards.ward_code
left join titles on clinicians.grade = titles.grade
