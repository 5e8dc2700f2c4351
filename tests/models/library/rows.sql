insert into shelf (shelf_id, label, changed)
select
    n,
    'shelf ' || n,
    timestamp '2024-11-01 09:00' + n * interval '1 minute'
from generate_series(1, 20) as n;

insert into loan (loan_id, shelf_id, fee, changed)
select
    n,
    1 + n % 20,
    n / 100.0,
    timestamp '2024-11-02 09:00' + n * interval '1 minute'
from generate_series(1, 200) as n;
