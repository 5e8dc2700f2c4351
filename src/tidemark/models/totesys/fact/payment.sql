-- A time is text HH:MM:SS.ffffff. It is cut from the timestamp's own text, because strftime's %f becomes Trino's, which
-- prints milliseconds only; the text ends at the last digit that is not zero, hence the padding.
with payments as (
    select
        payment_id,
        created_at,
        cast(created_at as varchar) as created_text,
        last_updated,
        cast(last_updated as varchar) as updated_text,
        transaction_id,
        counterparty_id,
        payment_amount,
        currency_id,
        payment_type_id,
        paid,
        payment_date
    from payment
)

select
    payment_id,
    cast(created_at as date) as created_date,
    rpad(substring(created_text, 12, 8) || '.' || substring(created_text, 21, 6), 15, '0') as created_time,
    cast(last_updated as date) as last_updated_date,
    rpad(substring(updated_text, 12, 8) || '.' || substring(updated_text, 21, 6), 15, '0') as last_updated_time,
    transaction_id,
    counterparty_id,
    payment_amount,
    currency_id,
    payment_type_id,
    paid,
    payment_date
from payments
