select
    w.ward_code,
    w.ward_name,
    w.building,
    w.beds
from ward as w
