"""Tidemark moves a PostgreSQL database into a data warehouse and keeps the full history of its facts.

Nothing is imported here, so that `import tidemark` costs nothing and the pure modules stay pure.
"""

__version__ = "0.1.0"
