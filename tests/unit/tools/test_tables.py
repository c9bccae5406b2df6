import pytest

from labelgrid.simulation.results import Outcome, write_outcomes
from tools import tables

MARK = "<!-- table of study: ./dev check tables, python -m tools.tables --write -->"
HEAD = (
    "| method | seeds | depth RMSE, m | semseg mIoU, % | loss_mtl | loss_mtl − `sl` | p (Holm) | paper |\n"
    + "| --- " * 8
    + "|\n"
)
PAGE = f"# A\n\n{MARK}\n\n{HEAD}| SL (`sl`) | | | | | | | 1.5 |\n| MTPSL, `mtpsl` | 3 | 9 | 9 | 9 | 9 | 9 | |\n\nrest\n"


def outcome(strategy, seed, task, metric, value, **changes):
    unit, better = {"RMSE": ("m", "lower"), "mIoU": ("%", "higher"), "loss_mtl": ("", "lower")}[metric]
    fixed = {"kind": "strategy", "point": "", "round": 0, "labels": 3, "task_labels": 1, "cost": 3.0}
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
        outcome(strategy, seed, "depth", "RMSE", depth, **changes),
        outcome(strategy, seed, "semseg", "mIoU", semseg, **changes),
        outcome(strategy, seed, "all", "loss_mtl", depth + 1, **changes),
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
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def test_the_values_of_a_table_are_those_of_the_records(write):
    root = write(PAGE)
    assert len(tables.faults(root)) == 2
    tables.write(root)
    assert tables.faults(root) == []
    assert rows(root) == [
        ["SL (`sl`)", "2", "1.500 ± 0.707", "21.0 ± 1.4", "2.500 ± 0.707", "–", "–", "1.5"],
        ["MTPSL, `mtpsl`", "2", "1.200 ± 0.990", "26.0 ± 1.4", "2.200 ± 0.990", "−0.300 (−0.500 to −0.100)", "0.5", ""],
    ]
    assert (root / "docs/results/a.md").read_text().endswith("|\n\nrest\n")


def test_a_changed_number_is_found(write):
    root = write(PAGE)
    tables.write(root)
    page = root / "docs/results/a.md"
    page.write_text(page.read_text().replace("26.0", "28.0"))
    assert tables.faults(root) == [
        "docs/results/a.md, table of study, row 'MTPSL, `mtpsl`': its values are not those of the records; run "
        "`.venv/bin/python -m tools.tables --write`"
    ]


def test_only_the_last_round_of_a_strategy_counts(write):
    root = write(PAGE, [*RUNS, *run("sl", 0, 7.0, 70.0, round=1), *run("sl", 1, 7.0, 70.0, round=1)])
    tables.write(root)
    assert rows(root)[0][2] == "7.000 ± 0.000"


def test_differences_are_of_the_seeds_that_both_have(write):
    root = write(PAGE, [*RUNS, *run("mtpsl", 5, 100.0, 1.0)])
    tables.write(root)
    assert rows(root)[1][1:3] == ["3", "34.133 ± 57.047"] and rows(root)[1][5] == "−0.300 (−0.500 to −0.100)"


def test_p_is_corrected_for_all_rows(write):
    more = [line for seed in range(5) for line in (*run("sl", seed, 2.0, 1.0), *run("mtpsl", seed, 1.0, 1.0))]
    third = [line for seed in range(5) for line in run("ssl", seed, 1.0, 1.0)]
    root = write(PAGE.replace("\n\nrest", "\n| SSL (`ssl`) | | | | | | | |\n\nrest"), [*more, *third])
    tables.write(root)
    assert [row[6] for row in rows(root)] == ["–", "0.12", "0.12"]  # 2 / 2 ** 5, twice


def test_networks_of_single_tasks_are_one_row(write):
    alone = [
        outcome("single.sl.depth", 0, "depth", "RMSE", 3.0, kind="single"),
        outcome("single.sl.depth", 0, "all", "loss_mtl", 0.25, kind="single"),
        outcome("single.sl.semseg", 0, "semseg", "mIoU", 33.0, kind="single"),
        outcome("single.sl.semseg", 0, "all", "loss_mtl", 0.5, kind="single"),
    ]
    root = write(PAGE.replace("MTPSL, `mtpsl`", "STL (`single.sl`)"), [*RUNS, *alone])
    tables.write(root)
    assert rows(root)[1] == ["STL (`single.sl`)", "1", "3.000", "33.0", "0.750", "−1.250", "–", ""]


def test_runs_of_a_grid_are_named_by_their_keys(write):
    grid = [
        *run("sl", 0, 5.0, 1.0, point="train.steps=5, train.rate=0.1"),
        *run("sl", 0, 7.0, 1.0, point="train.steps=7"),
    ]
    page = PAGE.replace("SL (`sl`)", "`sl, steps=5, rate=0.1`").replace("MTPSL, `mtpsl`", "`sl, steps=7`")
    root = write(page.replace("− `sl`", "− `sl, steps=7`"), grid)
    tables.write(root)
    assert [row[2] for row in rows(root)] == ["5.000", "7.000"] and rows(root)[0][5] == "−2.000"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("`mtpsl`", "`mtpls`", "row 'MTPSL, `mtpls`': no run of the records is 'mtpls'; there are: mtpsl, sl"),
        ("MTPSL, `mtpsl`", "MTPSL", "row 'MTPSL' names no run, like `sl`"),
        ("RMSE, m", "RMSE, cm", "column 'depth RMSE, cm': the unit of depth RMSE is 'm'"),
        ("semseg mIoU, %", "semseg mIou, %", "column 'semseg mIou, %': semseg has no metric 'mIou'; it has: mIoU"),
        ("− `sl`", "− `ssl`", "column 'loss_mtl − `ssl`': no run of the records is 'ssl'; there are: mtpsl, sl"),
        ("table of study", "table of others", "there is no docs/results/records/others/outcomes.parquet"),
    ],
)  # fmt: skip
def test_what_the_records_do_not_have_is_found(write, old, new, message):
    found = tables.faults(write(PAGE.replace(old, new)))
    assert any(message in fault for fault in found)
