from pathlib import Path

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.place import (
    DatabaseUrl,
    database_url,
    place_in,
    project_place,
    read_place,
    schema_name,
)

URL = "postgresql+psycopg://ann@db.lab:5433/labels?schema=flat&sslmode=verify-full"


def test_a_url_comes_back_as_it_was_given() -> None:
    place = database_url(URL)
    assert place == DatabaseUrl(
        database="labels",
        schema="flat",
        user="ann",
        host="db.lab",
        port=5433,
        options={"sslmode": "verify-full"},
    )
    assert database_url(str(place)) == place
    assert "schema" not in str(place.connection())


def test_a_socket_s_folder_is_a_host() -> None:
    place = database_url("postgresql:///labels?host=/run/postgresql", "flat")
    assert place.options == {"host": "/run/postgresql"}
    assert database_url(str(place)) == place


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ann:secret@db.lab/labels?schema=flat",
        "postgresql+psycopg://ann@db.lab/labels?schema=flat&password=secret",
        "postgresql+psycopg://ann:@db.lab/labels?schema=flat",
    ],
)
def test_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(LedgerError, match="holds a password") as refused:
        database_url(url)
    assert "secret" not in str(refused.value)
    assert "PGPASSFILE" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("labelgrid.db", "is no URL"),
        ("postgresql://db.lab:port/labels", "is no URL"),
        ("mysql://db.lab/labels", "'mysql' is not possible"),
        ("postgresql+asyncpg://db.lab/labels", "is not possible"),
        ("postgresql://db.lab", "names no database"),
        ("postgresql://db.lab/labels?schema=flat&sslkeylogfile=/tmp/keys", "'sslkeylogfile'"),
        ("postgresql://db.lab/labels?schema=flat&options=-c%20x", "the option 'options'"),
        ("postgresql://db.lab/labels?schema=flat&host=a&host=b", "the option 'host'"),
        ("postgresql://db.lab/labels", "the schema ''"),
        ("postgresql://db.lab/labels?schema=Flat", "the schema 'Flat'"),
        ("postgresql://db.lab/labels?schema=a%22b", "the schema"),
        ("postgresql://db.lab/labels?schema=pg_flat", "the schema"),
        ("postgresql://db.lab/labels?schema=" + 64 * "a", "the schema"),
    ],
)
def test_what_is_no_place_of_a_ledger_is_refused(url: str, said: str) -> None:
    with pytest.raises(LedgerError) as refused:
        database_url(url)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["flat", "Küche 2", "3rd", "pg_labels", 80 * "x", "a-b.c"])
def test_every_folder_has_a_schema(name: str) -> None:
    assert database_url("postgresql:///labels", schema_name(Path("/data", name))).schema


def test_a_word_with_a_scheme_is_a_url_and_another_a_path() -> None:
    assert read_place(URL) == database_url(URL)
    assert read_place("flat/labelgrid.db") == Path("flat/labelgrid.db")


def test_a_project_without_a_url_has_a_file(tmp_path: Path) -> None:
    assert project_place(tmp_path) == tmp_path / "labelgrid.db"
    settings = tmp_path / "labelgrid.toml"
    settings.write_text("seed = 3\n")
    assert project_place(tmp_path) == place_in(tmp_path, "") == tmp_path / "labelgrid.db"
    settings.write_text(f'ledger = "{URL}"\n')
    assert project_place(tmp_path) == database_url(URL)
    settings.write_text('ledger = "postgresql://a:secret@b/c?schema=d"\n')
    with pytest.raises(LedgerError, match="password") as refused:
        project_place(tmp_path)
    assert str(settings) in str(refused.value) and "secret" not in str(refused.value)
