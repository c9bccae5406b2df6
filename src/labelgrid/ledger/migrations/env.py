"""How Alembic meets the ledger: the caller's connection and transaction, our version table."""

from alembic import context

from labelgrid.ledger.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
