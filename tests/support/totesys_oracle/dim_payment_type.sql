-- Equals dim_payment_type as long as no payment type was deleted from the source.
select
    t.payment_type_id,
    t.payment_type_name
from payment_type as t
