select
    shelf_id,
    label
from shelf
