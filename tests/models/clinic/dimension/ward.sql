select
    ward_code,
    ward_name,
    building,
    beds
from ward
