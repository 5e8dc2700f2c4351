insert into buyer values ('NEW', 'Newcomer', 'York');
insert into purchase values (13, 'NEW', 2, '2025-01-31', null, 1, 0.1);
insert into purchase_line values (13, 3, 1, 1, 0), (12, 2, 0.3, 7, 0.25);
update purchase set shipped_on = '2024-07-20', freight = 12 where purchase_no = 11;
update purchase_line set quantity = 99 where purchase_no = 10 and article_no = 2;
delete from purchase_line where purchase_no = 11;
update clerk set photo = '\x01' where clerk_no = 1;
delete from buyer_trait where buyer_code = 'AB';
