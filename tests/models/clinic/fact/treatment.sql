select
    patient_no,
    given_on,
    line as line_no,
    ward_code,
    clinician_id,
    drug,
    dose,
    cost,
    took,
    entered,
    changed
from treatment
