update rental set return_date = '2024-02-03 10:00:00+00' where rental_id = 2;
insert into rental (rental_time, copy_id, member_id, assistant_id) values ('2025-02-14 15:16:03+00', 3, 2, 2);
insert into payment (member_id, assistant_id, rental_id, amount, payment_date) values (2, 2, 3, 4.99, '2024-02-14 21:21:59+00');
delete from payment where payment_id = 1;
update payment set amount = 1.99 where payment_id = 2;
update film set special_features = special_features || '{Commentary}', rating = 'G' where film_id = 1;
delete from film_actor where actor_id = 2;
insert into member (shop_id, email) values (1, 'new@example.com');
