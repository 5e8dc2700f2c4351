-- name: keys_of_several_rows
select {key}
from {rows}
group by all
having count(*) > 1
limit 1;
