import re
import sys
from pathlib import Path

import pytest

from tests.docs import preloaded
from tests.docs.console import examples_of
from tests.laboratory import LABORATORY, LeftOut, need_laboratory
from tests.support import CLASSES, make_dataset

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
#: Whole campaigns, which tests/e2e/test_story.py and test_tutorial.py run.
CAMPAIGNS = [ROOT / "docs" / name for name in ("story.md", "tutorial.md")]
#: Pages whose commands load labelgrid themselves, as those of users do.
LOADING = (ROOT / "README.md", ROOT / "docs" / "commands.md")


def name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder that the examples are run in: images/, labels/ of five tasks, classes.txt."""
    monkeypatch.chdir(tmp_path)
    make_dataset(tmp_path, n=8)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    return tmp_path


def run_page(page):
    """Run the examples; the test is skipped after the last one if any needs what is not here."""
    skipped = None
    for example in examples_of(page):
        try:
            example.evaluate()
        except pytest.skip.Exception as reason:
            skipped = reason
    if skipped:
        raise skipped


@pytest.mark.parametrize("page", [page for page in PAGES if page not in CAMPAIGNS], ids=name)
def test_the_examples_of_a_page_run_and_print_what_it_shows(page, request, monkeypatch):
    if page in LOADING:
        monkeypatch.setenv(preloaded.LOADS_LABELGRID, "yes")
    if list(examples_of(page)):  # most pages have none, and need no folder
        request.getfixturevalue("place")
        run_page(page)


def uneven_rows(text):
    """The rows of tables with more or fewer cells than the row above them."""
    lines = re.sub(r"(?s)```.*?```", "", text).splitlines()
    bars = [len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0 for line in lines]
    return [
        line
        for line, above, own in zip(lines[1:], bars, bars[1:], strict=False)
        if above and own and above != own
    ]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_rows_of_a_table_have_as_many_cells_as_its_head(page):
    assert uneven_rows(page.read_text(encoding="utf-8")) == []


def test_a_bar_that_is_not_escaped_makes_a_row_uneven():
    assert uneven_rows("| a | b |\n| --- | --- |\n| 1 | by |U| |\n") == ["| 1 | by |U| |"]
    assert uneven_rows("| a | b |\n| --- | --- |\n| 1 | by \\|U\\| |\n") == []


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("```console\n$ false\n```\n", "`false` exits with 1"),
        (
            "```console\n$ labelgrid status no\n```\n",
            "`labelgrid status no` exits with 1:\nError: T",
        ),
        ("```console\n$ echo one\ntwo\n```\n", "`echo one` prints:\none\n\ninstead of:\ntwo"),
        ("```console\n$ true\n$ echo a; exit 3\na\n```\n", "`echo a; exit 3` exits with 3:\na"),
        ("```console\n$ false\n$ echo $?\n2\n```\n", "`echo $?` prints:\n1"),
        ("```python\nassert 1 == 2, 'one is not two'\n```\n", "one is not two"),
        ("```python\n>>> 1 + 1\n3\n```\n", "Expected:\n    3\nGot:\n    2"),
    ],
)
def test_a_page_whose_example_does_not_hold_fails(place, block, fault):
    (place / "page.md").write_text(block, encoding="utf-8")
    with pytest.raises(AssertionError, match=re.escape(fault)):
        run_page(place / "page.md")


@pytest.mark.parametrize(
    "block",
    [
        "```console\n$ echo one two\none ... \n$ ls images\n0000.jpg\n...\n```\n",
        "```console\n$ false\n$ echo $?\n1\n```\n",
        "```console\n$ ./dev test\n$ git clone somewhere\n```\n",
        "```console\n$ cat > a << 'END'\nx = 1\n$ y\nEND\n$ grep -c y a\n1\n```\n",
        "```sh\nfalse\n```\n",
        "```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n",
        "<!--- skip: next -->\n\n```python\n1 / 0\n```\n",
    ],
)
def test_a_page_whose_examples_hold_passes(place, block):
    (place / "page.md").write_text(block, encoding="utf-8")
    run_page(place / "page.md")


NEEDS_LABORATORY = """
```console
$ echo This labelgrid has no laboratory; exit 2
```

```console
$ touch others; {last}
```
"""


def test_where_the_laboratory_is_left_out_the_other_examples_run(place, monkeypatch):
    monkeypatch.delitem(sys.modules, LABORATORY, raising=False)
    monkeypatch.setattr(sys, "meta_path", [LeftOut(), *sys.meta_path])
    page = place / "page.md"
    page.write_text(NEEDS_LABORATORY.format(last="true"), encoding="utf-8")
    with pytest.raises(pytest.skip.Exception, match="the laboratory is left out"):
        run_page(page)
    assert (place / "others").exists()
    page.write_text(NEEDS_LABORATORY.format(last="false"), encoding="utf-8")
    with pytest.raises(AssertionError, match="`touch others; false` exits with 1"):
        run_page(page)


def test_where_the_laboratory_is_there_none_may_miss_it(place):
    need_laboratory()
    (place / "page.md").write_text(NEEDS_LABORATORY.format(last="true"), encoding="utf-8")
    with pytest.raises(AssertionError, match="exit 2` exits with 2"):
        run_page(place / "page.md")
