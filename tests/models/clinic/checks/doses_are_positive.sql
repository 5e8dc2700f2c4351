-- A treatment gives something.
select
    treatment_record_id,
    dose
from fact_treatment
where dose <= 0
