select
    c.clinician_id,
    c.full_name,
    case c.grade
        when 1 then 'House Officer'
        when 2 then 'Registrar'
        when 3 then 'Consultant, Associate'
        when 4 then 'Consultant'
    end as title,
    w.ward_name
from clinician as c
left join ward as w on c.ward_code = w.ward_code
