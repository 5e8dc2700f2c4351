-- Equals dim_staff as long as no staff were deleted from the source.
select
    s.staff_id,
    s.first_name,
    s.last_name,
    d.department_name,
    d.location,
    s.email_address
from staff as s
left join department as d on s.department_id = d.department_id
