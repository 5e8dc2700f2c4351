select
    patient_no,
    given_on,
    line as line_no,
    ward_code,
    clinician_id,
    drug,
    dose,
    cast(cost as decimal(12, 2)) as cost,
    took,
    entered,
    changed
from treatment
