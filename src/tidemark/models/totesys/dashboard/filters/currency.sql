-- title: Currency
select currency_code
from dim_currency
order by currency_code;
