"""Migrations of the store, by alembic; one file for each step in `versions`."""
