select
    loan_id,
    shelf_id,
    fee
from loan
