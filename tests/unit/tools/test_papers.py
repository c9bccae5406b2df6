import pytest

from tools import papers

HEAD = "# Papers\n\n## PartAL\n\n| id | what | module | test | recipe | state |\n| --- | --- | --- | --- | --- | --- |\n"


@pytest.fixture(autouse=True)
def small_inventory(monkeypatch):
    monkeypatch.setattr(papers, "INVENTORY", {"PartAL": ("eq 1", "fig 2")})


def faults_of(plant, *lines):
    return papers.faults(
        plant({"docs/papers.md": HEAD + "\n".join(lines) + "\n", "src/a.py": "", "tests/a.py": ""})
    )


def test_a_full_page_has_no_faults(plant):
    rows = [
        "| eq 1 | min–max | `src/a.py` | `tests/a.py` | | done |",
        "| fig 2 | a drawing | | | | theory only |",
    ]
    assert faults_of(plant, *rows) == []


def test_a_missing_row_is_found(plant):
    assert faults_of(plant, "| eq 1 | x | | | | planned |") == [
        "docs/papers.md, PartAL: no row for 'fig 2'"
    ]


def test_a_row_that_the_paper_does_not_have_is_found(plant):
    rows = [
        "| eq 1 | x | | | | planned |",
        "| fig 2 | x | | | | planned |",
        "| eq 9 | x | | | | planned |",
    ]
    assert faults_of(plant, *rows) == [
        "docs/papers.md, PartAL: 'eq 9' is not in the inventory of tools/papers.py"
    ]


def test_a_row_that_stands_twice_is_found(plant):
    rows = [
        "| eq 1 | x | | | | planned |",
        "| fig 2 | x | | | | planned |",
        "| eq 1 | y | | | | planned |",
    ]
    assert faults_of(plant, *rows) == ["docs/papers.md, PartAL: 'eq 1' has 2 rows"]


def test_an_unknown_state_is_found(plant):
    rows = ["| eq 1 | x | | | | nearly |", "| fig 2 | x | | | | planned |"]
    assert faults_of(plant, *rows) == [
        "docs/papers.md, PartAL, eq 1: state 'nearly' is none of: done, planned, theory only"
    ]


def test_the_paths_of_a_done_row_must_exist(plant):
    rows = [
        "| eq 1 | x | `src/b.py` | `tests/a.py` | `src/r.toml` | done |",
        "| fig 2 | x | `src/c.py` | | | planned |",
    ]
    assert faults_of(plant, *rows) == [
        "docs/papers.md, PartAL, eq 1 is done, but src/b.py does not exist",
        "docs/papers.md, PartAL, eq 1 is done, but src/r.toml does not exist",
    ]


def test_a_done_row_names_a_module_and_a_test(plant):
    rows = ["| eq 1 | x | `src/a.py` | | | done |", "| fig 2 | x | | `tests/a.py` | | done |"]
    assert faults_of(plant, *rows) == [
        "docs/papers.md, PartAL, eq 1 is done, but names no test",
        "docs/papers.md, PartAL, fig 2 is done, but names no module",
    ]


def test_without_the_page_there_is_one_fault(tmp_path):
    assert papers.faults(tmp_path) == ["docs/papers.md does not exist"]
