-- Staff have a department and counterparties an address, both of which the source demands.
select
    'dim_staff' as star_table,
    staff_id as source_key
from dim_staff
where department_name is null
union all
select
    'dim_counterparty' as star_table,
    counterparty_id as source_key
from dim_counterparty
where counterparty_legal_address_line_1 is null
order by star_table, source_key
