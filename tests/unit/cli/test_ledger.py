"""The commands on where a ledger is; tests/e2e/test_postgresql.py runs them on a project."""

from pathlib import Path

from tests.e2e.commands import typed


def test_a_password_is_refused_before_anything_is_connected(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ann:secret-word@db.lab/labels"
    said = typed("ledger", "copy", tmp_path, url)
    assert (said.code, said.out) == (1, "")
    assert "holds a password" in said.err and "secret" not in said.err
    assert "The project uses the ledger that it used." in said.err
