-- batch: inserts, updates and deletes
insert into shelf (shelf_id, label, changed) values (21, 'annex', '2024-11-04 08:00');

insert into loan (loan_id, shelf_id, fee, changed) values (201, 21, 1.5, '2024-11-04 09:00');

update shelf
set label = 'atlases', changed = '2024-11-04 09:01'
where shelf_id = 3;

update loan
set shelf_id = 5, changed = '2024-11-04 09:02'
where loan_id = 17;

delete from loan
where loan_id in (18, 19);
