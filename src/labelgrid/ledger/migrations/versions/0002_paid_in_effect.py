"""Lets the index of payments cover sums without undone operations and sums of a split."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    answers = sa.text("to_state IN (2, 3)")
    op.drop_index("events_paid", "events")
    op.create_index(
        "events_paid",
        "events",
        ["task_id", "operation_id", "image_id", "to_state", "cost"],
        sqlite_where=answers,
        postgresql_where=answers,
    )
