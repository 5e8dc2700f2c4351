-- title: Department
select distinct department_name
from dim_staff
where department_name is not null
order by department_name;
