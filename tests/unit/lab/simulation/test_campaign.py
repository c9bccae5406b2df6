"""Laws of one simulated campaign: a live one's rounds, hidden labels hidden, killed anywhere without harm."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.lab.simulation import campaign
from labelgrid.lab.simulation.campaign import copy_run, create_run, step
from labelgrid.lab.simulation.forecast import TIMES, recorded_seconds
from labelgrid.lab.simulation.run_jobs import settings_of
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Study, study_of
from labelgrid.ledger.grid import Cell, State, Unit
from labelgrid.project.cells.drawn_pairs import drawn_pairs
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import (
    EpochRecord,
    Measurement,
    read_fit,
    read_measurement,
    read_picks,
)
from labelgrid.rounds.query import unspent_budget
from labelgrid.select.draws import CONTROL, PAIR
from tests.studies import make_data, make_recipe
from tests.support import make_dataset
from tests.unit.train.terms.stepped import Said

COVERS = ["labelgrid.lab.simulation.campaign"]
PARTAL, START = Run(kind="strategy", name="partal", seed=0), Run(kind="start", name="start", seed=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulation")
    make_data(folder / "data")
    make_recipe(folder)
    return folder


def study(place: Path, **changes: object) -> Study:
    return study_of(str(place / "study.toml"), changes)


def start(place: Path, folder: Path, run: Run, **changes: object) -> ProjectFolder:
    recipe = str(place / "study.toml")
    create_run(
        folder,
        settings_of(run, recipe, weights="", study=study(place, **changes), root=place / "data"),
        study(place, **changes),
    )
    return ProjectFolder.open(folder)


def make_related(folder: Path) -> None:
    """A data set and a recipe in which normals follow from depth."""
    tasks = ("semseg", "depth", "normals")
    made = make_dataset(folder / "data", n=11, size=(32, 64), tasks=tasks)
    (made.root / "camera.toml").write_text("field_of_view = 66.0\n")
    (made.root / "splits").mkdir()
    for split, names in (("train", made.names[:8]), ("test", made.names[8:])):
        text = "".join(f"{name}\n" for name in names)
        (made.root / "splits" / f"{split}.txt").write_text(text)
    relation = "trust = 1.0\nexact = true\noptions = { residual = 60.0 }"
    make_recipe(folder, f"normals = {{}}\n[relations.depth_normals]\n{relation}\n")


def finish(project: ProjectFolder, run: Run, of: Study) -> int:
    """Take all steps; returns how many."""
    count = 0
    while step(project, run, of, Silent()):
        count += 1
    return count


def finish_hidden(project: ProjectFolder, run: Run, of: Study) -> None:
    """Take all steps while no label can be read that was not granted."""
    assert project.settings.oracle
    folder = Path(project.settings.oracle.root) / "labels"
    files = sorted(folder.rglob("*.png"))
    assert files
    try:
        while True:
            asked = {row.cell for row in project.store.cells(state=State.REQUESTED)}
            open_ones = asked | {row.cell for row in project.store.cells(state=State.LABELLED)}
            readable = {f"{cell.task}/{Path(cell.image_id).stem}" for cell in open_ones}
            for path in files:
                hidden = path.with_name(path.name + ".hidden")
                wanted = f"{path.parent.name}/{path.stem}" in readable
                if wanted and hidden.exists():
                    hidden.rename(path)
                    path.chmod(0o644)
                elif not wanted and not hidden.exists():
                    path.rename(hidden)
                    path.write_bytes(b"")  # an empty file is refused by whoever opens it
            if not step(project, run, of, Silent()):
                break
    finally:
        for hidden in folder.rglob("*.hidden"):
            hidden.rename(hidden.with_name(hidden.name.removesuffix(".hidden")))


def history(project: ProjectFolder) -> list[tuple[object, ...]]:
    return [
        (event.move.cell, event.move.to, event.move.round, event.move.cost)
        for event in project.store.events()
    ]


def measured(project: ProjectFolder) -> list[Measurement]:
    found = [read_measurement(path) for path in sorted(project.folder.glob("rounds/*"))]
    return [one for one in found if one]


@pytest.fixture(scope="module")
def finished(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a campaign of `PARTAL` that went its way. Nobody changes it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with start(place, folder, PARTAL) as project:
        finish(project, PARTAL, study(place))
    return folder


def outcome(folder: Path) -> tuple[object, ...]:
    """What a campaign bought, and what was measured."""
    with ProjectFolder.open(folder) as project:
        return history(project), measured(project)


def test_a_campaign_buys_its_budget_a_round_and_measures_each(place: Path, tmp_path: Path) -> None:
    of = study(place)
    with start(place, tmp_path / "run", PARTAL) as project:
        counts = project.store.counts(("heldout",))
        assert {count.labelled for count in counts.values()} == {
            3
        }  # the split that measures is open from the start
        assert not any(count.labelled for count in project.store.counts(("train",)).values())
        steps = finish(project, PARTAL, of)
        assert len((project.folder / TIMES).read_text().splitlines()) == steps
        assert [row.budget for row in project.store.rounds() if row.state == "closed"] == [3, 5, 5]
        bought = sum(count.labelled for count in project.store.counts(("train",)).values())
        assert bought == 3 * 2 + 5 + 5
        assert [sum(m.labels.values()) for m in measured(project)] == [6, 11, 16]
        assert not step(project, PARTAL, of, Silent())
        assert not list(project.folder.glob("labels/**/*.png"))  # nothing is copied


def test_hidden_labels_stay_hidden(place: Path, finished: Path, tmp_path: Path) -> None:
    """Law 3: with every label unreadable that was not granted, the campaign is the same."""
    with start(place, tmp_path / "guarded", PARTAL) as guarded:
        finish_hidden(guarded, PARTAL, study(place))
    assert outcome(tmp_path / "guarded") == outcome(finished)


def test_hidden_labels_stay_hidden_where_labels_follow_from_others(tmp_path: Path) -> None:
    """Normals follow from depth, and a network learns them though none was bought."""
    make_related(tmp_path)
    of = study(tmp_path)
    random = Run(kind="strategy", name="random_cells", seed=0)
    expected = []
    for name, end in (("plain", finish), ("guarded", finish_hidden)):
        with start(tmp_path, tmp_path / name, random) as project:
            end(project, random, of)
            expected.append((history(project), measured(project)))
            fits = [read_fit(path) for path in sorted(project.folder.glob("rounds/*"))]
            (fit, *_) = [one for one in fits if one]
            assert fit.trained == ["depth", "normals", "semseg"]
            assert "normals" not in fit.labels
    assert expected[0] == expected[1]


def reasons(project: ProjectFolder) -> list[Counter[str]]:
    """How many cells were picked for each reason, by round."""
    folders = sorted(project.folder.glob("rounds/*"))
    picks = [read_picks(folder) for folder in folders]
    return [Counter(pick.why for pick in one) for one in picks if one]


def test_a_control_buys_its_share_of_each_budget_at_random(place: Path, tmp_path: Path) -> None:
    of = study(place, control=0.2)
    with start(place, tmp_path / "run", PARTAL, control=0.2) as project:
        finish(project, PARTAL, of)
        _, *bought = reasons(project)
        assert [(sum(one.values()), one[CONTROL]) for one in bought] == [(5, 1), (5, 1)]
        kept = [event.move.round for event in project.store.events(why=CONTROL)]
        assert sorted(set(kept)) == [2, 3]


def test_pairs_are_drawn_by_the_first_query_and_paid(tmp_path: Path) -> None:
    make_related(tmp_path)
    of = study(tmp_path, pairs=4, budget=9, initial=2)
    run = Run(kind="strategy", name="random_cells", seed=0)
    with start(tmp_path, tmp_path / "run", run, pairs=4, budget=9, initial=2) as project:
        finish(project, run, of)
        pairs = drawn_pairs(project, ["depth", "normals"])
        assert len(pairs) == 4
        labelled = {row.cell for row in project.store.cells(state=State.LABELLED)}
        assert labelled >= {Cell(name, task) for name in pairs for task in ("depth", "normals")}
        _, first, second = reasons(project)
        assert first[PAIR] and sum(first.values()) == 9 and not second[PAIR]
        assert [sum(one.labels.values()) for one in measured(project)][1] == 2 * 2 + 9


def test_an_arm_without_relations_draws_no_pairs(place: Path, tmp_path: Path) -> None:
    asked = {"pairs": 2, "rounds": 1}
    run = Run(kind="strategy", name="random_cells", seed=0)
    with start(place, tmp_path / "run", run, **asked) as project:
        finish(project, run, study(place, **asked))
        assert not drawn_pairs(project, []) and sum(reasons(project)[1].values()) == 5


def test_the_guard_of_the_test_above_would_be_noticed(place: Path, tmp_path: Path) -> None:
    with start(place, tmp_path / "run", PARTAL) as project:
        source = campaign.dataset_of(project.settings.oracle)  # type: ignore[arg-type]
        path = place / "data" / "labels" / "depth" / "0000.png"
        kept = path.read_bytes()
        try:
            path.write_bytes(b"")
            with pytest.raises(LabelError):
                source.label("0000.jpg", project.tasks()["depth"])
        finally:
            path.write_bytes(kept)


def test_a_run_goes_on_from_its_start_as_if_it_had_begun_itself(
    place: Path, finished: Path, tmp_path: Path
) -> None:
    of = study(place)
    with start(place, tmp_path / "start", START) as begun:
        finish(begun, START, of)
    copy_run(
        tmp_path / "start",
        tmp_path / "copied",
        settings_of(PARTAL, str(place / "study.toml"), weights="", study=of, root=place / "data"),
    )
    assert recorded_seconds(tmp_path / "start") > 0 == recorded_seconds(tmp_path / "copied")
    with ProjectFolder.open(tmp_path / "copied") as copied:
        finish(copied, PARTAL, of)
    assert outcome(tmp_path / "copied") == outcome(finished)


def test_full_supervision_has_every_label_and_one_network(place: Path, tmp_path: Path) -> None:
    run = Run(kind="full", name="full", seed=0)
    with start(place, tmp_path / "run", run) as project:
        finish(project, run, study(place))
        assert [sum(m.labels.values()) for m in measured(project)] == [16]


def test_fewer_images_than_the_initial_ones_are_said(place: Path, tmp_path: Path) -> None:
    for initial, expected in (
        (1000, ["The pool has 8 images, fewer than `initial` (1000): all are used."]),
        (8, []),
    ):
        of, said = study(place, initial=initial), Said()
        with start(place, tmp_path / str(initial), START, initial=initial) as project:
            step(project, START, of, said)
        assert [line for line in said.lines if "pool" in line] == expected


def test_initial_images_may_have_the_labels_of_some_tasks(place: Path, tmp_path: Path) -> None:
    arms = {"few": {"initial": {"images": 3, "tasks": ["depth"]}}}
    run = Run(kind="start", name="start.few", seed=0, start_arm="few")
    same = Run(kind="start", name="start", seed=0)
    images = {}
    for each in (run, same):
        with start(place, tmp_path / each.key, each, arms=arms) as project:
            step(project, each, study(place, arms=arms), Silent())
            images[each.key] = {row.cell for row in project.store.cells(state=State.REQUESTED)}
    few = images[run.key]
    assert len(few) == 3
    assert few == {cell for cell in images[same.key] if cell.task == "depth"}


def test_a_pool_that_runs_out_ends_the_campaign(place: Path, tmp_path: Path) -> None:
    of = study(place, rounds=9, budget=7)
    run = Run(kind="strategy", name="random_cells", seed=0)
    with start(place, tmp_path / "run", run, rounds=9, budget=7) as project:
        finish(project, run, of)
        assert [row.budget for row in project.store.rounds() if row.state == "closed"] == [3, 7, 3]


@pytest.mark.parametrize(
    ("name", "unit", "budget", "expected"),
    [("random_images", "labels", 5.0, [4, 6]), ("random_cells", "cost", 2.5, [2, 3])],
)
def test_what_a_round_does_not_spend_is_added_to_the_next(
    place: Path, tmp_path: Path, name: str, unit: Unit, budget: float, expected: list[int]
) -> None:
    run, plan = Run(kind="strategy", name=name, seed=0), {"budget": budget, "unit": unit}
    with start(place, tmp_path / "run", run, **plan) as project:
        finish(project, run, study(place, **plan))
        bought = [row.round for row in project.store.cells(state=State.LABELLED) if row.round > 1]
        assert [
            bought.count(2),
            bought.count(3),
        ] == expected  # depth costs 1; semseg, 10, is never affordable
        assert unspent_budget(project, unit) == 0


def test_a_campaign_of_one_tasks_labels_ends_when_they_are_all_bought(
    place: Path, tmp_path: Path
) -> None:
    chosen = {"variants": {"depths": {"name": "random_tasks", "options": {"shares": {"depth": 1}}}}}
    of = study(place, rounds=9, budget=2, strategies=["depths"], **chosen)
    run = Run(kind="strategy", name="depths", seed=0)
    with start(
        place, tmp_path / "run", run, rounds=9, budget=2, strategies=["depths"], **chosen
    ) as project:
        finish(project, run, of)
        left = {name: count.missing for name, count in project.store.counts(("train",)).items()}
        assert left == {"semseg": 5, "depth": 0}
        assert len(measured(project)) == 4


def test_a_campaign_stops_when_its_labels_have_cost_enough(place: Path, tmp_path: Path) -> None:
    of = study(place, rounds=9, spend=40.0)
    run = Run(kind="strategy", name="random_cells", seed=0)
    with start(place, tmp_path / "run", run) as project:
        finish(project, run, of)
        spent = [m.spent for m in measured(project)]
        assert spent[-1] >= 40 > spent[-2]


@pytest.mark.parametrize("goal, rounds", [(1.0, 1), (0.2, 3)])
def test_until_looks_at_the_epoch_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goal: float, rounds: int
) -> None:
    """The best epoch reached 0.5, the last one 9."""
    made = make_data(tmp_path / "data")
    make_recipe(tmp_path)
    for split, names in (("train", made.names[:6]), ("val", made.names[6:8])):
        (made.root / "splits" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    log = [EpochRecord(1, {}, {"loss_mtl": 0.5}), EpochRecord(2, {}, {"loss_mtl": 9.0})]
    monkeypatch.setattr(campaign, "read_log", lambda _: log)
    best = {
        "until": {"loss_mtl": goal},
        "changes": {"strategy": {"train": {"choose": "best", "val_every": 1}}},
    }
    of = study(tmp_path, val="val", **best)
    run = Run(kind="strategy", name="random_cells", seed=0)
    with start(tmp_path, tmp_path / "run", run, val="val", **best) as project:
        finish(project, run, of)
        assert len(measured(project)) == rounds
        fits = [one for path in sorted(project.folder.glob("rounds/*")) if (one := read_fit(path))]
        assert (fits[0].images, sum(fits[0].labels.values())) == (
            3,
            6,
        )  # without the val split's 2 images
        assert sum(measured(project)[0].labels.values()) == 6
        assert fits[0].spent == 5 * 11.0  # with them


def test_a_split_that_measures_nothing_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    made = make_data(tmp_path / "data")
    make_recipe(tmp_path)
    for name in made.names[8:]:
        for path in (tmp_path / "data" / "labels").rglob(f"{Path(name).stem}.*"):
            path.unlink()
    with pytest.raises(RecipeError, match="split 'test' has no label"):
        start(tmp_path, tmp_path / "run", START)
    assert not list(tmp_path.glob("*run*"))


def blank(place: Path, task: str, names: Iterable[str]) -> None:
    """Label these images as "not labelled" everywhere: classes 255, depth 0."""
    for name in names:
        path = place / "data" / "labels" / task / f"{Path(name).stem}.png"
        stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.full_like(stored, 255 if task == "semseg" else 0))


@pytest.mark.parametrize("unit, budget", [("labels", 4), ("images", 2), ("cost", 22.0)])
def test_a_label_without_a_valid_pixel_is_skipped_and_its_budget_comes_back(
    tmp_path: Path, unit: str, budget: float
) -> None:
    made = make_data(tmp_path / "data", pool=12)
    make_recipe(tmp_path)
    blank(tmp_path, "semseg", made.names[:8])  # as the parts of people-free images
    blank(tmp_path, "depth", [made.names[9], made.names[12]])  # the last one is held out
    asked = {"unit": unit, "budget": budget, "rounds": 3}
    run = Run(kind="strategy", name="random_cells", seed=1)
    with start(tmp_path, tmp_path / "run", run, **asked) as project:
        finish(project, run, study(tmp_path, **asked))
        value = {"labels": {"semseg": 1, "depth": 1}, "images": {"semseg": 0.5, "depth": 0.5}}
        values = value.get(unit, {"semseg": 10, "depth": 1})  # costs: semseg 10, depth 1
        skipped = {row.number: 0.0 for row in project.store.rounds()}
        for row in project.store.cells(state=State.SKIPPED):
            skipped[row.round] += values[row.cell.task]
        assert skipped[1] > 0 and skipped[2] > 0  # both the initial and a bought label
        budgets = {
            row.number: row.budget for row in project.store.rounds() if row.state == "closed"
        }
        assert budgets[2] == budget
        assert budgets[3] == budget + (int(skipped[2]) if unit == "images" else skipped[2])
        counts = project.store.counts(("train",))
        assert {name: c.spent for name, c in counts.items()} == {
            "semseg": 10.0 * counts["semseg"].labelled,
            "depth": 1.0 * counts["depth"].labelled,
        }
        assert project.store.counts(("heldout",))["depth"].labelled == 2


def test_a_study_with_blank_labels_ends_well_whatever_was_picked(tmp_path: Path) -> None:
    made = make_data(tmp_path / "data")
    make_recipe(tmp_path)
    blank(tmp_path, "semseg", made.names[::2])
    blank(tmp_path, "depth", made.names[:1])
    of = study(tmp_path, rounds=9)
    for run in (
        PARTAL,
        Run(kind="strategy", name="random_images", seed=0),
        Run(kind="full", name="full", seed=0),
    ):
        with start(tmp_path, tmp_path / run.name, run, rounds=9) as project:
            finish(project, run, of)
            counts = project.store.counts(("train",))
            assert (counts["semseg"].labelled, counts["semseg"].skipped) == (4, 4)
            assert (counts["depth"].labelled, counts["depth"].skipped) == (7, 1)


def test_a_cost_budget_that_buys_nothing_more_ends_the_campaign(
    place: Path, tmp_path: Path
) -> None:
    of = study(place, rounds=9, budget=1.0, unit="cost")  # depth costs 1, semseg 10
    run = Run(kind="strategy", name="random_cells", seed=0)
    with start(place, tmp_path / "run", run, rounds=9, budget=1.0, unit="cost") as project:
        finish(project, run, of)
        counts = project.store.counts(("train",))
        assert (counts["depth"].missing, counts["semseg"].missing) == (0, 5)
