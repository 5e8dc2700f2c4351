select
    p.patient_no,
    p.family_name,
    p.given_name,
    p.born,
    p.insured
from registry.patient as p
