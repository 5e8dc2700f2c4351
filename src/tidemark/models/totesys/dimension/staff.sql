with employees as (
    select
        staff_id,
        first_name,
        last_name,
        department_id,
        email_address
    from staff
),

departments as (
    select
        department_id,
        department_name,
        location
    from department
)

select
    employees.staff_id,
    employees.first_name,
    employees.last_name,
    departments.department_name,
    departments.location,
    employees.email_address
from employees
left join departments on employees.department_id = departments.department_id
