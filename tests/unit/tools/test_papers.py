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


def test_a_row_may_be_of_several_items(plant, monkeypatch):
    items = ("fig 2a", "fig 2b", "ablation no mask")
    monkeypatch.setattr(papers, "INVENTORY", {"PartAL": items})
    row = "| fig 2a, 2b; ablation no mask | x | `src/a.py` | `tests/a.py` | | done |"
    assert faults_of(plant, row) == []
    assert faults_of(plant, row.replace("2b;", "2c;")) == [
        "docs/papers.md, PartAL: no row for 'fig 2b'",
        "docs/papers.md, PartAL: 'fig 2c' is not in the inventory of tools/papers.py",
    ]


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
        "docs/papers.md, PartAL, eq 1: state 'nearly' is none of: done, planned, differs, theory only"
    ]


def test_the_paths_of_a_done_row_must_exist(plant):
    rows = [
        "| eq 1 | x | `src/b.py` | `tests/a.py` | `src/r.toml` | done |",
        "| fig 2 | x | `src/c.py` | | | planned |",
    ]
    assert faults_of(plant, *rows) == [
        "docs/papers.md, PartAL, eq 1: src/b.py does not exist",
        "docs/papers.md, PartAL, eq 1: src/r.toml does not exist",
    ]


def test_a_done_row_names_a_module_and_a_test(plant):
    rows = ["| eq 1 | x | `src/a.py` | | | done |", "| fig 2 | x | | `tests/a.py` | | done |"]
    assert faults_of(plant, *rows) == [
        "docs/papers.md, PartAL, eq 1: names no test",
        "docs/papers.md, PartAL, fig 2: names no module",
    ]


def test_a_row_of_released_code_that_is_not_followed_names_what_is_done_instead(plant):
    rows = [
        "| eq 1 | x | `src/a.py` | `tests/a.py` | | differs |",
        "| fig 2 | x | | `tests/a.py` | | differs |",
    ]
    assert faults_of(plant, *rows) == ["docs/papers.md, PartAL, fig 2: names no module"]


def test_without_the_page_there_is_one_fault(tmp_path):
    assert papers.faults(tmp_path) == ["docs/papers.md does not exist"]


TABLE = "## Deviations in the code\n\n| module | what |\n| --- | --- |\n"
MARKED = (
    '"""Sums.\n\nDeviation: one of them.\n"""\n\ndeviation = 2  # Deviates from the paper: two.\n'
)


def deviations(plant, page, code=MARKED):
    rows = "| eq 1 | x | | | | planned |\n| fig 2 | x | | | | planned |\n\n"
    root = plant({"docs/papers.md": HEAD + rows + page, "src/a.py": code})
    return papers.faults(root)


def test_every_deviation_in_a_comment_or_docstring_has_its_row(plant):
    assert deviations(plant, TABLE + "| `src/a.py` | one |\n| `src/a.py` | two |\n") == []


@pytest.mark.parametrize("page", ["", TABLE, TABLE + "| `src/b.py` | one |\n"])
def test_a_deviation_without_a_row_is_found(plant, page):
    wanted = "src/a.py: 2 marked in the code in line 3, 6, 0 in the table"
    assert f"docs/papers.md, Deviations in the code: {wanted}" in deviations(plant, page)


def test_a_second_deviation_of_a_module_needs_a_second_row(plant):
    (fault,) = deviations(plant, TABLE + "| `src/a.py` | one |\n")
    assert fault.endswith("src/a.py: 2 marked in the code in line 3, 6, 1 in the table")


def test_a_row_whose_deviation_is_gone_is_found(plant):
    (fault,) = deviations(
        plant, TABLE + "| `src/a.py` | one |\n", "deviation = 1  # a standard deviation\n"
    )
    assert fault.endswith("src/a.py: 0 marked in the code, 1 in the table")
