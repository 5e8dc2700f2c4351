with currencies as (
    select
        currency_id,
        currency_code
    from currency
),

names as (
    select
        code,
        name
    from currency_names
)

select
    currencies.currency_id,
    currencies.currency_code,
    names.name as currency_name
from currencies
left join names on currencies.currency_code = names.code
