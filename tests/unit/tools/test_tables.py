from pathlib import Path

import pytest

from labelgrid.lab.simulation.study_results import Outcome, write_outcomes
from tools import tables

COVERS = ["tools.table_about", "tools.table_records", "tools.table_values", "tools.table_campaigns"]

ABOUT = """title = "A study"
text = "What it is."
commands = "labelgrid simulate a"
metrics = ["depth RMSE", "semseg mIoU"]
published_as = "paper"

[names]
sl = "supervised learning"

[published]
sl = "1.5"

[[tables]]
reference = "sl"
runs = ["sl", "mtpsl"]
"""
RECORDED = Path(__file__).resolve().parents[3] / tables.RECORDS


def outcome(strategy, seed, task, metric, value, **changes):
    unit, better = {"RMSE": ("m", "lower"), "mIoU": ("%", "higher"), "loss_mtl": ("", "lower")}[
        metric
    ]
    fixed = {
        "kind": "strategy",
        "point": "",
        "round": 2,
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
def study(plant):
    """Write a folder of records, with the settings of a published study, and return the repository."""
    settings = (RECORDED / "partial-scenes-ten/study.json").read_text()

    def study(about=ABOUT, outcomes=RUNS, name="study"):
        folder = f"{tables.RECORDS.as_posix()}/{name}"
        root = plant({f"{folder}/about.toml": about, f"{folder}/study.json": settings})
        write_outcomes(outcomes, root / folder)
        return root

    return study


def rows(root, folder="records/study"):
    lines = (root / f"docs/results/{folder}/README.md").read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ][2:]


def test_the_values_of_a_page_are_those_of_the_records(study):
    root = study()
    assert len(tables.faults(root)) == 1
    tables.write(root)
    assert tables.faults(root) == []
    assert rows(root) == [
        [
            "`sl`",
            "supervised learning",
            "2",
            "2.500 ± 0.707",
            "–",
            "1.500 ± 0.707",
            "21.0 ± 1.4",
            "3",
            "1.5",
        ],
        [
            "`mtpsl`",
            "",
            "2",
            "2.200 ± 0.990",
            "−0.300 (−0.500 to −0.100)",
            "1.200 ± 0.990",
            "26.0 ± 1.4",
            "3",
            "",
        ],
    ]


def test_a_changed_number_is_found(study):
    root = study()
    tables.write(root)
    page = root / "docs/results/records/study/README.md"
    page.write_text(page.read_text().replace("26.0", "28.0"))
    assert tables.faults(root) == [
        "docs/results/records/study/README.md is not what its records make; "
        "run `.venv/bin/python -m tools.tables --write`"
    ]


def test_records_without_a_page_are_found(study):
    root = study()
    (root / "docs/results/records/study/about.toml").unlink()
    assert tables.faults(root) == ["docs/results/records/study: there is no about.toml"]


def test_only_the_last_round_of_a_strategy_counts(study):
    later = [
        line
        for name in ("sl", "mtpsl")
        for seed in (0, 1)
        for line in run(name, seed, 7.0, 70.0, round=3)
    ]
    root = study(outcomes=[*RUNS, *later])
    tables.write(root)
    assert rows(root)[0][3] == "8.000 ± 0.000"


def test_p_is_corrected_for_the_rows_of_a_table_with_enough_seeds(study):
    runs = [
        line
        for seed in range(6)
        for line in (*run("sl", seed, 2.0, 1.0), *run("mtpsl", seed, 1.0, 1.0))
    ]
    third = [line for seed in range(6) for line in run("ssl", seed, 1.0, 1.0)]
    root = study(ABOUT.replace('"mtpsl"]', '"mtpsl", "ssl"]'), [*runs, *third])
    tables.write(root)
    assert [row[5] for row in rows(root)] == ["–", "0.062", "0.062"]  # 2 / 2 ** 6, twice


def test_p_is_corrected_for_the_runs_of_another_study_too(study):
    runs = [
        line
        for seed in range(6)
        for line in (*run("sl", seed, 2.0, 1.0), *run("mtpsl", seed, 1.0, 1.0))
    ]
    study(outcomes=runs, name="other")
    root = study('p_with = ["other"]\n' + ABOUT, runs)
    tables.write(root)
    assert [rows(root, f"records/{name}")[1][5] for name in ("study", "other")] == [
        "0.062",
        "0.031",
    ]


def single(task, metric, seed, value, loss):
    """The outcomes of a single-task network."""
    name = f"single.sl.{task}"
    values = [outcome(name, seed, task=task, metric=metric, value=value, kind="single")]
    return [*values, outcome(name, seed, task="all", metric="loss_mtl", value=loss, kind="single")]


def test_networks_of_single_tasks_are_one_row(study):
    alone = [
        *single("depth", "RMSE", seed=0, value=3.0, loss=0.25),
        *single("semseg", "mIoU", seed=0, value=33.0, loss=0.5),
    ]
    about = ABOUT.replace('"mtpsl"]', '"single.sl"]')
    root = study(about, [*RUNS, *alone])
    tables.write(root)
    assert rows(root)[1] == ["`single.sl`", "", "1", "0.750", "−1.250", "3.000", "33.0", "6", ""]
    faults = tables.faults(
        study(about, [*RUNS, *alone, *single("depth", "RMSE", seed=1, value=3.0, loss=0.25)])
    )
    assert "not all seeds of 'single.sl' have a network of each task" in faults[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"mtpsl"]', '"mtpls"]', "no run of the records is 'mtpls'; there are: mtpsl, sl"),
        (
            'reference = "sl"',
            'reference = "ssl"',
            "no run of the records is 'ssl'; there are: mtpsl, sl",
        ),
        (
            "depth RMSE",
            "depth RMSEE",
            "no metric of the records is 'depth RMSEE'; there are: depth RMSE",
        ),
        ('title = "A study"\n', "", "about.toml lacks a key: "),
        ("published_as", "published_by", "about.toml has an unknown key 'published_by'"),
        ("reference", "referent", "tables of about.toml has an unknown key 'referent'"),
        ('title = "A study"', "title = ", "about.toml cannot be read: "),
    ],
)
def test_a_page_that_cannot_be_made_is_found_and_not_written(study, old, new, message):
    root = study(ABOUT.replace(old, new))
    assert message in tables.faults(root)[0]
    tables.write(root)
    assert not (root / "docs/results/records/study/README.md").exists()


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (run("sl", 0, 1.0, 20.0), "two runs of the records are 'sl'"),
        (run("sl", 2, float("nan"), 20.0), "a value of 'sl' is not a finite number"),
        (run("sl", 2, 1.0, 20.0)[1:], "not all seeds of 'sl' have depth RMSE"),
        (
            run("sl", 0, 7.0, 70.0, round=3),
            "the seeds of 'sl' have had different numbers of rounds",
        ),
        (run("mtpsl", 5, 100.0, 1.0), "'mtpsl' has seeds that 'sl' lacks"),
    ],
)
def test_records_that_make_no_table_are_found(study, added, message):
    assert message in tables.faults(study(outcomes=[*RUNS, *added]))[0]


def test_records_that_cannot_be_read_are_found(study):
    root = study()
    (root / "docs/results/records/study/outcomes.parquet").write_bytes(b"PAR1")
    assert tables.faults(root)[0].startswith("docs/results/records/study: ")


PRINTED = """title = "An older study"
text = "What it is."
commands = "labelgrid simulate b"
printed = [{ file = "a.csv", title = "Figures" }]
pictures = [{ file = "a.png", text = "a line falls" }]
"""


def test_figures_without_records_are_shown_as_they_were_printed_and_marked(plant):
    root = plant(
        {
            "docs/results/printed/old/about.toml": PRINTED,
            "docs/results/printed/old/a.csv": 'a,b\n"1, 2",\n',
        }
    )
    tables.write(root)
    assert tables.faults(root) == []
    text = (root / "docs/results/printed/old/README.md").read_text()
    assert "records of these runs are not in the repository" in text and "| 1, 2 | |" in text
    assert "![a line falls](../../../images/a.png)" in text


@pytest.mark.parametrize(
    ("csv", "message"), [("a,b\n1\n", "a.csv: row '1' has 1 cells, not 2"), ("", "a.csv cannot")]
)
def test_printed_figures_that_make_no_table_are_found(plant, csv, message):
    root = plant(
        {"docs/results/printed/old/about.toml": PRINTED, "docs/results/printed/old/a.csv": csv}
    )
    assert message in tables.faults(root)[0]


def test_the_page_of_a_campaign_has_its_labels_its_cost_and_its_significant_pairs(tmp_path):
    text = tables.page(RECORDED / "same-shares")
    assert "| `random-equal-costs` | 64 | 70 | 163 | 89 | 286 | 287 |" in text
    assert "all its strategies reach (2,546 on average)" in text
    assert (
        "| delta_mtl at equal cost | `equal-cells` − `random-as-equal` | 2.64 (−0.64 to 5.87) | 0.135 |"
        in text
    )
    assert "`random-equal-costs` > `random_cells` (7.63)" in text
    assert "15 of 15 pairs: no verdict, they share no two rounds with the same cost" in text
    gains = tables.page(RECORDED / "task-gains")
    assert (
        "| `only-semseg` | 15.5 | 9.0 | 24.2 | 1.4 | −6.1 | −0.5 | 7.3 | 240 | 2,400 | 0.3 |"
        in gains
    )
    assert "With 3 seeds p is at least 0.25: no pair can differ significantly." in gains
