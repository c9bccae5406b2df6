import pytest

from labelgrid.simulation.results import Outcome, write_outcomes
from tools import tables

COVERS = ["tools.table_records", "tools.table_values"]

MARK = "<!-- table of study: ./dev check tables, python -m tools.tables --write -->"
HEAD = (
    "| method | seeds | depth RMSE, m | semseg mIoU, % | loss_mtl | loss_mtl − `sl` | p (Holm) | *paper* |\n"
    + "| --- " * 8
    + "|\n"
)
PAGE = f"# A\n\n{MARK}\n\n{HEAD}| SL (`sl`) | | | | | | | 1.5 |\n| MTPSL, `mtpsl` | 3 | 9 | 9 | 9 | 9 | 9 | |\n\nrest\n"


def outcome(strategy, seed, task, metric, value, **changes):
    unit, better = {"RMSE": ("m", "lower"), "mIoU": ("%", "higher"), "loss_mtl": ("", "lower")}[
        metric
    ]
    fixed = {
        "kind": "strategy",
        "point": "",
        "round": 0,
        "labels": 3,
        "task_labels": 1,
        "cost": 3.0,
    }
    return Outcome(
        **{**fixed, **changes},
        strategy=strategy,
        seed=seed,
        task=task,
        metric=metric,
        value=value,
        unit=unit,
        better=better,
    )


def run(strategy, seed, depth, semseg, **changes):
    """The outcomes of a run of both tasks, whose loss is 1 more than its depth."""
    return [
        outcome(strategy, seed, task="depth", metric="RMSE", value=depth, **changes),
        outcome(strategy, seed, task="semseg", metric="mIoU", value=semseg, **changes),
        outcome(strategy, seed, task="all", metric="loss_mtl", value=depth + 1, **changes),
    ]


RUNS = [
    *run("sl", 0, 1.0, 20.0), *run("sl", 1, 2.0, 22.0), *run("mtpsl", 0, 0.5, 25.0), *run("mtpsl", 1, 1.9, 27.0),
]  # fmt: skip


@pytest.fixture
def write(plant):
    def write(page, outcomes=RUNS):
        root = plant({"docs/results/a.md": page, "docs/results/records/study/study.json": "{}"})
        write_outcomes(outcomes, root / "docs/results/records/study")
        return root

    return write


def rows(root):
    lines = (root / "docs/results/a.md").read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ][2:]


def test_the_values_of_a_table_are_those_of_the_records(write):
    root = write(PAGE)
    assert len(tables.faults(root)) == 2
    tables.write(root)
    assert tables.faults(root) == []
    assert rows(root) == [
        ["SL (`sl`)", "2", "1.500 ± 0.707", "21.0 ± 1.4", "2.500 ± 0.707", "–", "–", "1.5"],
        [
            "MTPSL, `mtpsl`",
            "2",
            "1.200 ± 0.990",
            "26.0 ± 1.4",
            "2.200 ± 0.990",
            "−0.300 (−0.500 to −0.100)",
            "0.5",
            "",
        ],
    ]
    assert (root / "docs/results/a.md").read_text().endswith("|\n\nrest\n")


def test_a_changed_number_is_found(write):
    root = write(PAGE)
    tables.write(root)
    page = root / "docs/results/a.md"
    page.write_text(page.read_text().replace("26.0", "28.0"))
    assert tables.faults(root) == [
        "docs/results/a.md: table of study, row 'MTPSL, `mtpsl`': its values are not those of the records; run "
        "`.venv/bin/python -m tools.tables --write`"
    ]


def test_only_the_last_round_of_a_strategy_counts(write):
    later = [
        line
        for name in ("sl", "mtpsl")
        for seed in (0, 1)
        for line in run(name, seed, 7.0, 70.0, round=1)
    ]
    root = write(PAGE, [*RUNS, *later])
    tables.write(root)
    assert rows(root)[0][2] == "7.000 ± 0.000"


def test_runs_with_different_numbers_of_rounds_are_not_compared(write):
    further = [*run("sl", 0, 7.0, 70.0, round=1)]
    assert (
        "the seeds of 'sl' have had different numbers of rounds"
        in tables.faults(write(PAGE, [*RUNS, *further]))[0]
    )
    further += run("sl", 1, 7.0, 70.0, round=1)
    fault = "column 'loss_mtl − `sl`': 'mtpsl' and 'sl' have had different numbers of rounds"
    assert fault in tables.faults(write(PAGE, [*RUNS, *further]))[0]


def test_differences_are_of_all_seeds_of_a_row(write):
    root = write(PAGE, [*RUNS, *run("sl", 5, 100.0, 1.0)])
    tables.write(root)
    assert rows(root)[1][5] == "−0.300 (−0.500 to −0.100)"
    fault = "column 'loss_mtl − `sl`': 'mtpsl' has seeds that 'sl' lacks"
    assert fault in tables.faults(write(PAGE, [*RUNS, *run("mtpsl", 5, 100.0, 1.0)]))[0]


def test_several_empty_cells_in_a_row_are_written_as_they_are_read(write):
    empty = (
        "| method | *a* | *b* | *c* | loss_mtl |\n" + "| --- " * 5 + "|\n| SL (`sl`) | | | | 9 |\n"
    )
    root = write(f"# A\n\n{MARK}\n\n{empty}")
    tables.write(root)
    assert "| SL (`sl`) | | | | 2.500 ± 0.707 |\n" in (root / "docs/results/a.md").read_text()


def test_a_difference_has_the_digits_of_its_unit(write):
    root = write(PAGE.replace("loss_mtl − `sl`", "semseg mIoU − `sl`, %"))
    tables.write(root)
    assert rows(root)[1][5] == "5.0 (5.0 to 5.0)"


def test_p_is_corrected_for_all_rows_with_two_seeds_or_more(write):
    more = [
        line
        for seed in range(5)
        for line in (*run("sl", seed, 2.0, 1.0), *run("mtpsl", seed, 1.0, 1.0))
    ]
    third = [line for seed in range(5) for line in run("ssl", seed, 1.0, 1.0)]
    page = PAGE.replace(
        "\n\nrest", "\n| SSL (`ssl`) | | | | | | | |\n| (`jtr`) | | | | | | | |\n\nrest"
    )
    root = write(page, [*more, *third, *run("jtr", 0, 1.0, 1.0)])
    tables.write(root)
    assert [row[6] for row in rows(root)] == ["–", "0.12", "0.12", "–"]  # 2 / 2 ** 5, twice
    assert rows(root)[3][5] == "−1.000"


def test_p_of_a_page_is_corrected_for_the_rows_of_all_its_tables(write):
    runs = [
        line
        for seed in range(5)
        for line in (*run("sl", seed, 2.0, 1.0), *run("mtpsl", seed, 1.0, 1.0))
    ]
    page = PAGE.replace("p (Holm)", "p (Holm, page)")
    other = PAGE.replace("loss_mtl − `sl`", "depth RMSE − `sl`, m").replace(
        "p (Holm)", "p (Holm, page)"
    )
    root = write(page + other + PAGE, runs)
    tables.write(root)
    found = [row[6] for row in rows(root) if row[0].startswith("MTPSL")]
    assert (
        found == ["0.12", "0.12", "0.062"] and rows(root)[0][6] == "–"
    )  # 2 / 2 ** 5, twice where it is of the page
    broken = write(page + other.replace("`mtpsl`", "`mtpls`"), runs)
    assert [
        "column 'p (Holm, page)': 'mtpsl' has no p-value" in fault
        for fault in tables.faults(broken)
    ].count(True)


def single(task, metric, seed, value, loss):
    """The outcomes of a single-task network."""
    name = f"single.sl.{task}"
    values = [outcome(name, seed, task=task, metric=metric, value=value, kind="single")]
    return [*values, outcome(name, seed, task="all", metric="loss_mtl", value=loss, kind="single")]


def test_networks_of_single_tasks_are_one_row(write):
    alone = [
        *single("depth", "RMSE", seed=0, value=3.0, loss=0.25),
        *single("semseg", "mIoU", seed=0, value=33.0, loss=0.5),
    ]
    page = PAGE.replace("MTPSL, `mtpsl`", "STL (`single.sl`)")
    root = write(page, [*RUNS, *alone])
    tables.write(root)
    assert rows(root)[1] == ["STL (`single.sl`)", "1", "3.000", "33.0", "0.750", "−1.250", "–", ""]
    faults = tables.faults(
        write(page, [*RUNS, *alone, *single("depth", "RMSE", seed=1, value=3.0, loss=0.25)])
    )
    assert "not all seeds of 'single.sl' have a network of each task" in faults[0]


def test_runs_of_a_grid_are_named_by_their_keys(write):
    sizes = "data.size=[64, 96], train.rate=0.1"
    grid = [*run("sl", 0, 5.0, 1.0, point=sizes), *run("sl", 0, 7.0, 1.0, point="train.steps=7")]
    page = PAGE.replace("SL (`sl`)", "`sl, size=[64, 96], rate=0.1`").replace(
        "MTPSL, `mtpsl`", "SL (`no`, `sl, steps=7`)"
    )
    root = write(page.replace("− `sl`", "− `sl, steps=7`"), grid)
    tables.write(root)
    assert [row[2] for row in rows(root)] == ["5.000", "7.000"] and rows(root)[0][5] == "−2.000"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "`mtpsl`",
            "`mtpls`",
            "column 'seeds': no run of the records is 'mtpls'; there are: mtpsl, sl",
        ),
        ("MTPSL, `mtpsl`", "MTPSL", "row 'MTPSL' names no run, like `sl`"),
        ("RMSE, m", "RMSE, cm", "column 'depth RMSE, cm': the unit of depth RMSE is 'm'"),
        (
            "semseg mIoU, %",
            "semseq mIoU, %",
            "column 'semseq mIoU, %': it is not `seeds`, `loss_mtl`, *a text in",
        ),
        (
            "− `sl`",
            "− `ssl`",
            "column 'loss_mtl − `ssl`': no run of the records is 'ssl'; there are: mtpsl, sl",
        ),
        ("− `sl`", "- `sl`", "column 'loss_mtl - `sl`': it is not"),
        (
            "loss_mtl − `sl`",
            "loss_mtl",
            "column 'p (Holm)': the column before it has no differences",
        ),
        ("*paper*", "paper", "column 'paper': it is not"),
        ("| 9 | |", "| 9 | 1 | |", "row 'MTPSL, `mtpsl`' has 9 cells, the first row has 8"),
        (
            "table of study",
            "table of others",
            "there is no docs/results/records/others/outcomes.parquet",
        ),
        (
            "| --- " * 8 + "|\n",
            "",
            "docs/results/a.md: a line with '<!-- table of ' is not like the others",
        ),
        (
            "dev check",
            "dev chekc",
            "docs/results/a.md: a line with '<!-- table of ' is not like the others",
        ),
    ],
)
def test_what_cannot_be_filled_is_found(write, old, new, message):
    root = write(PAGE.replace(old, new))
    before = (root / "docs/results/a.md").read_text()
    assert any(message in fault for fault in tables.faults(root))
    tables.write(root)
    assert (root / "docs/results/a.md").read_text() == before


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (run("sl", 0, 1.0, 20.0), "two runs of the records are 'sl'"),
        (run("sl", 2, float("nan"), 20.0), "a value of 'sl' is not a finite number"),
        (run("sl", 2, 1.0, 20.0)[1:], "not all seeds of 'sl' have depth RMSE"),
    ],
)
def test_records_that_make_no_table_are_found(write, added, message):
    assert message in tables.faults(write(PAGE, [*RUNS, *added]))[0]


def test_records_that_cannot_be_read_are_found(write):
    root = write(PAGE)
    (root / "docs/results/records/study/outcomes.parquet").write_bytes(b"PAR1")
    assert "docs/results/a.md: table of study, " in tables.faults(root)[0]


def test_the_last_table_of_the_last_page_is_filled(write):
    root = write(PAGE.removesuffix("\n\nrest\n"))
    (root / "docs/results/b.md").write_text((root / "docs/results/a.md").read_text())
    tables.write(root)
    assert tables.faults(root) == []
    assert "26.0 ± 1.4" in (root / "docs/results/b.md").read_text()
