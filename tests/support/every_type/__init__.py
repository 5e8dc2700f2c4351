"""A database with every type of PostgreSQL as a column, in arrays and as a key, and what a mirror makes of it."""
