"""Events keep which hint was shown while their labels were drawn."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

HINTS = "hint IN ('nothing', 'model', 'supplier')"


def upgrade() -> None:
    # Not by a new table with the old rows: SQLite lets a column bring its own condition.
    op.add_column("events", sa.Column("hint", sa.Text, sa.CheckConstraint(HINTS, name="hint")))
