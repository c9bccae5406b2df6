"""Images and tasks that were removed: they stay for their history, but nothing else sees them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for table in ("images", "tasks"):
        op.add_column(
            table, sa.Column("removed", sa.Boolean, nullable=False, server_default=sa.false())
        )
    op.drop_index("images_by_split", "images")
    op.create_index(
        "images_by_split", "images", ["removed", "split"]
    )  # every count leaves removed images out
