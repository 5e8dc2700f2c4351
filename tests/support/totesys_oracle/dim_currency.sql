-- Equals dim_currency for the currencies of the tests, as long as none was deleted from the source.
select
    c.currency_id,
    c.currency_code,
    case c.currency_code
        when 'GBP' then 'Pound Sterling'
        when 'USD' then 'US Dollar'
        when 'EUR' then 'Euro'
        when 'CHF' then 'Swiss Franc'
        when 'JPY' then 'Yen'
        when 'CAD' then 'Canadian Dollar'
        when 'AUD' then 'Australian Dollar'
        when 'SEK' then 'Swedish Krona'
        when 'VES' then 'Bolívar Soberano'
    end as currency_name
from currency as c
