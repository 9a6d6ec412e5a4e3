"""Runs the migrations on the engine that `adapters.store` hands over."""

from alembic import context

from cds_service.adapters.store import METADATA

with context.config.attributes["engine"].connect() as connection:
    context.configure(connection=connection, target_metadata=METADATA)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
