select
    patient_no,
    family_name,
    given_name,
    born,
    insured
from patient
