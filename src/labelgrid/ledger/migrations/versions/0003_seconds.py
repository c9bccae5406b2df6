"""How many seconds a label took, where its import said so."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for table in ("events", "cells"):
        op.add_column(table, sa.Column("seconds", sa.Float))
    timed = sa.text("seconds IS NOT NULL")
    op.create_index(
        "cells_timed", "cells", ["task_id", "seconds"], sqlite_where=timed, postgresql_where=timed
    )
