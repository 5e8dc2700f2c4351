-- Every currency has a name: its code is one of ISO 4217's.
select
    currency_id,
    currency_code
from dim_currency
where currency_name is null
order by currency_id
