select
    t.patient_no,
    t.given_on,
    t.line as line_no,
    t.ward_code,
    t.clinician_id,
    t.drug,
    t.dose,
    t.cost::numeric(12, 2) as cost,
    t.took,
    t.entered,
    t.changed
from treatment as t
