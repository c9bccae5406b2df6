"""What a query does once, what a strategy is given, and what is kept of its choice."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from labelgrid.basics import files
from labelgrid.basics.errors import LabelgridError, ProjectError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.ledger.grid import Cell, Explanation, Move, State, request_id
from labelgrid.project.cells.audited_cells import DRAWN_CELLS
from labelgrid.project.cells.drawn_pairs import drawn_pairs
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit, read_picks
from labelgrid.rounds import fit, models, pool_scorer, query, round_scores, score
from labelgrid.score.statistic import Statistic, TrainedStatistic
from labelgrid.score.table_files import read_table
from labelgrid.select.draws import AUDIT, CONTROL, PAIR
from labelgrid.select.parts import AsIs, ComposedStrategy, ScorerResult, draw_cells
from labelgrid.select.strategy import Budget
from tests.projects import Said, answer, make_project
from tests.rounds import QUICK, Killed, copied

HERE = "tests.unit.rounds.test_query"
VIEWS = []


@dataclass(frozen=True)
class Options:
    """No options."""


class Images(Statistic):
    scope = "all"
    axis = "image"

    def __call__(self, batch):
        return batch.features.deepest.mean((1, 2, 3)).numpy()


class Member(TrainedStatistic):
    """A second network, kept as a module of the statistic's own."""

    axis = "image"

    def setup(self, example):
        import copy

        self.network = copy.deepcopy(example.model.network)

    def fit(self, context):
        self.network.load_state_dict(context.train_member("second").network.state_dict())

    def __call__(self, batch):
        mine, other = self.network.encode(batch.batch.images), batch.features
        return (mine.deepest - other.deepest).abs().mean((1, 2, 3)).numpy()


def build_images(seed, options):
    return Images()


def build_member(seed, options):
    return Member()


def by(statistic, options):
    name = f"{HERE}:{statistic}"

    def scorer(view):
        VIEWS.append(view)
        values = np.repeat(view.statistics[name][:, None], len(view.grid.tasks), 1)
        return ScorerResult(values, {"per cell": 2 * values, "per image": values[:, 0]})

    return ComposedStrategy(
        needs=frozenset({name}), scorer=scorer, normaliser=AsIs(), unit="cells", why="far"
    )


def by_images(options):
    return by("build_images", options)


def by_member(options):
    return by("build_member", options)


def by_history(options):
    """Cells of the tasks that had fewest labels, and figures of val: a strategy that reads all it is told of."""

    def scorer(view):
        VIEWS.append(view)
        last = view.history[-1] if view.history else None
        weight = [
            1 / (1 + last.labels[task]) + last.val.get("loss_mtl", 0.0) if last else 0.0
            for task in view.grid.tasks
        ]
        return ScorerResult(
            draw_cells(view.grid, view.seed)
            * np.array(weight)
            / (1 + sum(r.cost for r in view.history))
        )

    return ComposedStrategy(
        needs=frozenset(), scorer=scorer, normaliser=AsIs(), unit="cells", why="few labels"
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project with the labels of two rounds, a model of each, held-out figures and val figures."""
    project, made = make_project(tmp_path_factory.mktemp("prepared"), n=14)
    with project:
        changes = {**QUICK, "train": {"epochs": 1, "val_share": 0.5}}
        project.settings = replace(project.settings, changes=changes)
        for budget in (15, 4):
            query.query(project, Budget(budget), Silent(), prelabels=False)
            answer(project, made)
            fit.fit(project, Silent())
    return project.folder, made


@pytest.fixture
def project(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "flat")
    VIEWS.clear()
    with ProjectFolder.open(tmp_path / "flat") as opened:
        yield opened


def counted(monkeypatch, module, name):
    calls, real = [], getattr(module, name)

    def counting(*arguments, **named):
        calls.append(arguments)
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, counting)
    return calls


def test_a_query_restores_the_model_once_and_parses_the_recipe_once(project, monkeypatch):
    parsed = counted(monkeypatch, round_scores, "load_tables")
    restored, loaded = (
        counted(monkeypatch, pool_scorer, "restore_model"),
        counted(monkeypatch, models, "load"),
    )
    query.query(project, Budget(4), Silent())
    assert (len(parsed), len(restored), len(loaded)) == (1, 1, 1)
    assert (project.round_folder(3) / "prelabels").is_dir() and (
        project.round_folder(3) / "pictures"
    ).is_dir()


def test_a_query_with_fresh_scores_and_without_previews_restores_no_model(project, monkeypatch):
    score.score(project, Silent())
    loaded = counted(monkeypatch, models, "load")
    query.query(project, Budget(4), Silent(), prelabels=False)
    assert not loaded and not (project.round_folder(3) / "pictures").exists()


def test_a_strategy_without_needs_reads_neither_recipe_nor_model(project, monkeypatch):
    parsed, loaded = (
        counted(monkeypatch, round_scores, "load_tables"),
        counted(monkeypatch, models, "load"),
    )
    query.query(project, Budget(4), Silent(), strategy="random_cells", prelabels=False)
    assert not parsed and not loaded


def test_a_query_with_fresh_scores_loads_no_torch(project):
    score.score(project, Silent())
    code = (
        "import sys, pathlib; from labelgrid.project.folder import ProjectFolder\n"
        "from labelgrid.basics.progress import Silent\n"
        "from labelgrid.rounds.query import query; from labelgrid.select.strategy import Budget\n"
        "with ProjectFolder.open(pathlib.Path(sys.argv[1])) as project:\n"
        "    picks = query(project, Budget(4), Silent(), prelabels=False).picks\n"
        "print(len(picks), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, project.folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4", "False"]


def test_pictures_can_be_drawn_without_prelabels(project):
    query.query(project, Budget(2), Silent(), prelabels=False, pictures=True)
    assert not (project.round_folder(3) / "prelabels").exists()
    assert len(list((project.round_folder(3) / "pictures").iterdir())) == 6


def test_a_statistic_of_all_images_has_a_row_for_labelled_ones_and_terms_are_kept_with_the_picks(
    project,
):
    asked = query.query(project, Budget(3), Silent(), strategy=f"{HERE}:by_images")
    (view,) = VIEWS
    values = view.statistics[f"{HERE}:build_images"]
    assert values.shape == (len(view.grid.images),) and np.isfinite(values).all()
    assert (view.grid.state == State.LABELLED).any()
    for pick in read_picks(project.round_folder(3)):
        row = list(view.grid.images).index(pick.cell.image_id)
        assert pick.terms == {"per cell": 2 * values[row], "per image": values[row]}
        assert pick.score == values[row]
    assert asked.picks[0].score == max(values[view.grid.eligible.any(1)])


def test_a_statistic_can_train_another_network_under_a_named_seed(project):
    query.query(project, Budget(3), Silent(), strategy=f"{HERE}:by_member", prelabels=False)
    (view,) = VIEWS
    far = view.statistics[f"{HERE}:build_member"][view.grid.eligible.any(1)]
    assert (far > 0).all() and len(set(far.tolist())) == len(far)


def test_history_has_labels_cost_and_val_metrics_of_each_training(project):
    query.query(project, Budget(3), Silent(), strategy=f"{HERE}:by_history", prelabels=False)
    history = VIEWS[0].history
    fits = [read_fit(project.round_folder(number)) for number in (2, 3)]
    assert [(one.round, one.labels, one.cost) for one in history] == [
        (f.round, f.labels, f.spent) for f in fits
    ]
    assert {"loss_mtl", "depth/RMSE"} <= history[-1].val.keys()


@pytest.mark.parametrize(
    "strategy", ["partal", "random_cells", f"{HERE}:by_history", f"{HERE}:by_images"]
)
def test_picks_are_the_same_with_held_out_labels_and_figures_made_unreadable(
    project, tmp_path, strategy
):
    shutil.copytree(project.folder, tmp_path / "blind")
    with ProjectFolder.open(tmp_path / "blind") as blind:
        held = {row.image_id for row in blind.store.images(("heldout", "test"))}
        spoilt = [
            blind.inside(row.path)
            for row in blind.store.cells(state=State.LABELLED)
            if row.cell.image_id in held
        ]
        spoilt += blind.folder.glob("rounds/*/heldout.json")
        assert len(spoilt) == 2 * 3 + 2
        for path in spoilt:
            path.unlink()
            path.mkdir()  # whoever reads it fails
        asked = [
            query.query(one, Budget(4), Silent(), strategy=strategy) for one in (project, blind)
        ]
    assert asked[0] == asked[1]


def test_picks_and_scores_of_before_terms_and_axes_are_read(project):
    table = score.score(project, Silent())
    path = project.round_folder(3) / "scores" / "scores.parquet"
    rows = pq.read_table(path)
    kept = json.loads(rows.schema.metadata[b"labelgrid"])
    kept["statistics"] = {name: said["width"] for name, said in kept["statistics"].items()}
    pq.write_table(rows.replace_schema_metadata({"labelgrid": json.dumps(kept)}), path)
    assert read_table(path).axes == table.axes
    query.query(project, Budget(4), Silent(), strategy="random_cells")
    lines = json.loads((project.round_folder(3) / "picks.json").read_text())
    assert not any({"terms", "explanation"} & line.keys() for line in lines)  # as they always were
    assert all(record.terms == {} for record in read_picks(project.round_folder(3)))
    assert all(
        record.explanation == Explanation() for record in read_picks(project.round_folder(3))
    )


def test_a_score_plug_in_of_ones_own_that_is_not_there_is_refused(project):
    project.settings = replace(project.settings, changes={"score": {"nowhere.at_all:build": {}}})
    with pytest.raises(Exception, match=r"'nowhere\.at_all:build' is code from outside labelgrid"):
        query.query(project, Budget(4), Silent())


def test_a_query_with_the_same_model_and_budget_requests_the_same_cells_and_completes_the_previews(
    project,
):
    first = query.query(project, Budget(4), Silent(), prelabels=False)
    before, said = project.store.pool_hash(), Said()
    again = query.query(project, Budget(4), said)
    assert again == replace(first, repeated=True) and project.store.pool_hash() == before
    assert "Round 3 requested these cells already" in said.lines[0] and "--new" in said.lines[0]
    assert len(list((project.round_folder(3) / "prelabels").rglob("*.*"))) == 4
    shutil.rmtree(project.round_folder(3) / "pictures")
    query.query(project, Budget(4), Silent())
    assert len(list((project.round_folder(3) / "pictures").iterdir())) == 12


def test_a_dry_run_shows_what_the_same_query_would_do(project):
    first, said = query.query(project, Budget(4), Silent(), prelabels=False), Said()
    assert query.query(project, Budget(4), said, dry_run=True) == replace(first, repeated=True)
    assert "Nothing new would be requested" in said.lines[0]
    shown = query.query(project, Budget(4), Silent(), dry_run=True, new=True)
    assert not shown.repeated and shown == query.query(
        project, Budget(4), Silent(), prelabels=False, new=True
    )


@pytest.mark.parametrize(
    "change", ["new", "budget", "unit", "strategy", "answer", "cancel", "model", "scoring"]
)
def test_a_query_that_differs_from_the_last_one_requests_further_cells(prepared, project, change):
    first = query.query(project, Budget(4), Silent(), prelabels=False)
    budget = Budget(4 + (change == "budget"), "cost" if change == "unit" else "labels")
    if change in ("answer", "model"):
        answer(project, prepared[1])
    if change == "cancel":
        cell = first.picks[0].cell
        project.store.move(
            [Move(cell=cell, to=State.MISSING, round=3, request_id=request_id(3, cell))]
        )
    if change == "model":
        fit.fit(project, Silent(), changes=QUICK)
    if change == "scoring":
        project.settings = replace(project.settings, changes={"score": {"dropout": {"passes": 3}}})
    options = {"strategy": "random_cells"} if change == "strategy" else {}
    again = query.query(project, budget, Silent(), prelabels=False, new=change == "new", **options)
    assert not again.repeated and again.round == 4
    assert {pick.cell for pick in again.picks} != {pick.cell for pick in first.picks}


def test_a_disk_that_is_full_while_previews_are_written_is_reported_with_the_request_that_was_made(
    project, monkeypatch
):
    from labelgrid.rounds import previews

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(previews, "_write_prelabels", full)
    with pytest.raises(
        ProjectError, match=r"No space left(.|\n)*The cells are requested; the next query writes"
    ):
        query.query(project, Budget(4), Silent())
    assert project.round_number == 4


@pytest.fixture
def related(tmp_path):
    """A project with nothing labelled, whose relation between depth and normals is off."""
    project, made = make_project(tmp_path, n=14, strategy="random_cells")
    with project:
        relation = {"relations": {"depth_normals": {}}}
        project.settings = replace(project.settings, changes={**QUICK, **relation})
        yield project, made


def cells_by_reason(result):
    cells = {}
    for pick in result.picks:
        cells.setdefault(pick.why, set()).add(pick.cell)
    return cells


def test_pairs_and_a_control_are_paid_from_the_budget_and_the_strategy_picks_other_cells(related):
    project, _ = related
    asked = query.query(project, Budget(20), Silent(), pairs=3, control="50%", prelabels=False)
    by_reason = {why: len(cells) for why, cells in cells_by_reason(asked).items()}
    assert by_reason == {PAIR: 6, CONTROL: 7, "random cell": 7}
    assert len({pick.cell for pick in asked.picks}) == 20
    held = {row.image_id for row in project.store.images(("heldout",))}
    assert held and not held & {pick.cell.image_id for pick in asked.picks}
    pairs = {
        (image_id, task) for image_id in drawn_pairs(project, ()) for task in ("depth", "normals")
    }
    assert {(cell.image_id, cell.task) for cell in cells_by_reason(asked)[PAIR]} == pairs
    assert read_picks(project.round_folder(1)) == asked.picks


def test_the_ledger_keeps_why_a_cell_was_drawn_after_its_label_came_in(related):
    project, made = related
    asked = query.query(project, Budget(12), Silent(), pairs=2, control="50%", prelabels=False)
    answer(project, made)
    (project.round_folder(1) / "picks.json").unlink()
    for why in (PAIR, CONTROL):
        kept = {event.move.cell for event in project.store.events(why=why)}
        assert kept == cells_by_reason(asked)[why] and len(kept) == 4


@pytest.mark.parametrize("strategy", ["partal", "random_images"])
def test_the_images_of_pairs_are_the_same_whatever_strategies_bought(project, tmp_path, strategy):
    relation = {"relations": {"depth_normals": {}}}
    project.settings = replace(project.settings, changes={**project.settings.changes, **relation})
    asked = query.query(project, Budget(9), Silent(), strategy=strategy, pairs=4, prelabels=False)
    empty, _ = make_project(tmp_path / "empty", n=14)
    with empty:
        empty.settings = project.settings
        query.query(empty, Budget(8), Silent(), pairs=4, prelabels=False)
        assert (
            drawn_pairs(project, ()) == drawn_pairs(empty, ()) and len(drawn_pairs(empty, ())) == 4
        )
    assert len(cells_by_reason(asked)[PAIR]) < 8  # others were bought before
    assert len(asked.picks) <= 9


def test_a_budget_of_the_pairs_alone_leaves_nothing_to_the_strategy(related):
    project, _ = related
    asked = query.query(project, Budget(4), Silent(), pairs=2, prelabels=False)
    assert set(cells_by_reason(asked)) == {PAIR} and query.unspent_budget(project, "labels") == 0


def test_pairs_without_a_budget_are_all_that_is_requested(related):
    project, _ = related
    asked = query.query(project, None, Silent(), pairs=2, prelabels=False)
    assert {why: len(cells) for why, cells in cells_by_reason(asked).items()} == {PAIR: 4}
    assert project.store.rounds()[-1].budget == 4
    again = query.query(project, None, Silent(), pairs=2, prelabels=False)
    assert again == replace(asked, repeated=True)
    further = query.query(project, None, Silent(), pairs=3, prelabels=False)
    assert len(further.picks) == 6 and not further.repeated


def test_a_query_without_a_budget_draws_something(related):
    project, made = related
    with pytest.raises(LabelgridError, match=r"needs a budget, or else --pairs or --audit"):
        query.query(project, None, Silent(), control="20%")
    query.query(project, None, Silent(), pairs=12, prelabels=False)
    answer(project, made)
    with pytest.raises(LabelgridError, match=r"are all there, asked for or skipped"):
        query.query(project, None, Silent(), pairs=12, prelabels=False)
    assert len(project.store.rounds()) == 1


def test_what_the_strategy_cannot_spend_beside_the_pairs_is_kept_for_the_next_query(related):
    project, _ = related
    said = Said()
    asked = query.query(project, Budget(4.5), said, pairs=2, prelabels=False)
    assert set(cells_by_reason(asked)) == {PAIR} and query.unspent_budget(project, "labels") == 0.5
    assert any(line.startswith("Not spent: 0.5 labels") for line in said.lines)


def test_a_budget_of_the_whole_pool_buys_it_with_pairs_and_a_control(related):
    project, _ = related
    asked = query.query(
        project, Budget(12, "images"), Silent(), pairs=5, control="20%", prelabels=False
    )
    assert len(asked.picks) == 36 and query.unspent_budget(project, "images") == 0


def test_pairs_that_the_budget_does_not_pay_are_refused_and_nothing_changes(related):
    project, _ = related
    before = project.store.pool_hash()
    with pytest.raises(LabelgridError, match=r"takes 6 labels(.|\n)*Nothing was requested"):
        query.query(project, Budget(5), Silent(), pairs=3, prelabels=False)
    assert project.store.pool_hash() == before and not drawn_pairs(project, ())
    assert not project.store.rounds()


def test_a_dry_run_draws_what_the_query_draws_and_keeps_nothing(related):
    project, _ = related
    words = {"pairs": 2, "control": "50%", "prelabels": False}
    shown = query.query(project, Budget(9), Silent(), dry_run=True, **words)
    assert not drawn_pairs(project, ()) and not project.store.rounds()
    assert query.query(project, Budget(9), Silent(), **words) == shown


def test_the_same_query_draws_once_and_one_with_other_draws_again(related):
    project, _ = related
    first = query.query(project, Budget(9), Silent(), pairs=2, prelabels=False)
    drawn = drawn_pairs(project, ())
    again = query.query(project, Budget(9), Silent(), pairs=2, prelabels=False)
    assert again == replace(first, repeated=True) and drawn_pairs(project, ()) == drawn
    further = query.query(project, Budget(9), Silent(), pairs=3, prelabels=False)
    assert further.round == 2 and drawn_pairs(project, ())[:2] == drawn
    assert len(drawn_pairs(project, ())) == 5
    assert query.query(project, Budget(9), Silent(), control=0.5, prelabels=False).round == 3


@pytest.mark.parametrize("step", ["write_picks", "note_pairs"])
def test_a_query_killed_while_it_requests_draws_the_same_when_it_is_run_again(
    related, tmp_path, monkeypatch, step
):
    project, _ = related
    words = {"pairs": 2, "control": "50%", "prelabels": False}
    (tmp_path / "twin").mkdir()
    with copied(project, tmp_path / "twin" / "flat") as twin:
        twin.settings = project.settings
        undisturbed = query.query(twin, Budget(9), Silent(), **words)
        drawn = drawn_pairs(twin, ())

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(query, step, killed)
        query.query(project, Budget(9), Silent(), **words)
    assert not drawn_pairs(project, ())
    assert query.query(project, Budget(9), Silent(), **words) == undisturbed
    assert drawn_pairs(project, ()) == drawn


@pytest.mark.parametrize("bought", [False, True])
def test_an_image_whose_file_is_gone_is_not_drawn(related, bought):
    project, made = related
    first = query.query(project, Budget(6), Silent(), pairs=3, dry_run=True, prelabels=False)
    gone = first.picks[0].cell.image_id
    if bought:
        cells = [Cell(gone, task) for task in ("depth", "normals")]
        project.store.move([Move(cell=cell, to=State.LABELLED, path="a.png") for cell in cells])
    (made.images / gone).unlink()
    asked = query.query(project, Budget(6), Silent(), pairs=3, prelabels=False)
    assert gone not in drawn_pairs(project, ()) and len(asked.picks) == 6


def test_pairs_need_a_relation_that_fits_the_tasks(tmp_path):
    alone, _ = make_project(tmp_path, n=4, tasks=("depth",))
    with (
        alone,
        pytest.raises(RecipeError, match="No relation between tasks is declared, and none fits"),
    ):
        query.query(alone, Budget(9), Silent(), pairs=2)


@pytest.fixture
def supplied(related):
    """The same project, of whose 12 training images a supplier gave the depth and the normals."""
    project, made = related
    shutil.rmtree(made.labels / "semseg")
    import_supplied(project, made.labels, supplier="s", accept=True)
    return project


def test_joint_buys_less_of_what_a_trusted_supplier_gives_and_no_less_without_trust(supplied):
    changes = dict(supplied.settings.changes)
    picks = {}
    for trust in (None, 0.0, 0.9):
        tables = {} if trust is None else {"suppliers": {"s": {"tasks": {"depth": trust}}}}
        supplied.settings = replace(supplied.settings, changes={**changes, **tables})
        words = {"strategy": "joint", "dry_run": True, "prelabels": False}
        picks[trust] = query.query(supplied, Budget(12), Silent(), **words).picks
    assert picks[0.0] == picks[None]
    count = Counter(pick.cell.task for pick in picks[0.9])
    assert count["depth"] < min(count["normals"], count["semseg"])


def test_audits_are_paid_from_the_budget_beside_the_picks_and_kept_by_supplier_and_task(supplied):
    said = Said()
    words = {"audit": 3, "pairs": 2, "control": "50%", "prelabels": False}
    asked = query.query(supplied, Budget(20), said, **words)
    found = cells_by_reason(asked)
    assert {why: len(cells) for why, cells in found.items()} == {
        PAIR: 4,
        AUDIT: 2,
        CONTROL: 7,
        "random cell": 7,
    }
    noted = supplied.store.get(DRAWN_CELLS)
    assert {task: len(images) for task, images in noted["s"].items()} == {"depth": 3, "normals": 3}
    drawn = {Cell(image_id, task) for task, images in noted["s"].items() for image_id in images}
    assert drawn <= found[AUDIT] | found[PAIR]
    kept = {event.move.cell for event in supplied.store.events(why=AUDIT)}
    assert kept == found[AUDIT]
    assert any(
        line.startswith("Drawn at random to audit suppliers: 3 depth") for line in said.lines
    )


def test_the_same_audit_draws_once_and_a_further_one_goes_on(supplied):
    words = {"audit": 2, "prelabels": False}
    shown = query.query(supplied, Budget(4), Silent(), dry_run=True, **words)
    assert supplied.store.get(DRAWN_CELLS) is None
    first = query.query(supplied, Budget(4), Silent(), **words)
    assert first == shown and set(cells_by_reason(first)) == {AUDIT}
    again = query.query(supplied, Budget(4), Silent(), **words)
    assert again == replace(first, repeated=True)
    further = query.query(supplied, Budget(4), Silent(), new=True, **words)
    assert not {pick.cell for pick in further.picks} & {pick.cell for pick in first.picks}
    assert len(supplied.store.get(DRAWN_CELLS)["s"]["depth"]) == 4


def test_audits_that_the_budget_does_not_pay_are_refused_and_nothing_changes(supplied):
    before = supplied.store.pool_hash()
    with pytest.raises(
        LabelgridError, match=r"6 labels to audit suppliers(.|\n)*--budget 6(.|\n)*Nothing was req"
    ):
        query.query(supplied, Budget(5), Silent(), audit=3, prelabels=False)
    assert supplied.store.pool_hash() == before and supplied.store.get(DRAWN_CELLS) is None


def test_a_cell_whose_image_is_gone_is_not_audited(supplied):
    first = query.query(supplied, Budget(6), Silent(), audit=3, dry_run=True, prelabels=False)
    gone = supplied.store.image(first.picks[0].cell.image_id)
    (Path(gone.root) / gone.image_id).unlink()
    asked = query.query(supplied, Budget(6), Silent(), audit=3, prelabels=False)
    assert gone.image_id not in str(supplied.store.get(DRAWN_CELLS)) and len(asked.picks) == 6


def test_audits_need_a_supplier(project):
    with pytest.raises(ProjectError, match=r"nothing to audit(.|\n)*--supplier NAME"):
        query.query(project, Budget(9), Silent(), audit=2)


@pytest.fixture
def without_networks(monkeypatch):
    """A base install, in which none of what trains can be found."""
    monkeypatch.setattr(files, "TRAINING", ("labelgrid_has_no_such_package",))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"dry_run": True},
        {"prelabels": False},
        {"strategy": "random_images"},  # has previews
        {"class_name": "semseg:box", "dry_run": True},
        {"like": "0001.jpg", "dry_run": True},
    ],
    ids=str,
)
def test_without_networks_a_query_that_needs_them_is_refused_before_it_says_or_does_a_thing(
    project, without_networks, asked
):
    query.query(project, Budget(2), Silent(), strategy="random_cells", prelabels=False)
    requested, rounds = list(project.store.cells(state=State.REQUESTED)), project.round_number
    progress = Said()
    with pytest.raises(ProjectError, match="base install leaves out") as error:
        query.query(project, Budget(3), progress, **asked)
    assert "labelgrid[train]" in error.value.next_step
    only_previews = asked == {"strategy": "random_images"}
    assert ("`prelabels=False`" in error.value.next_step) == only_previews
    assert progress.lines == []
    assert list(project.store.cells(state=State.REQUESTED)) == requested
    assert project.round_number == rounds


def test_without_networks_scores_that_are_there_are_enough_for_picks_without_previews(
    project, without_networks, monkeypatch
):
    with monkeypatch.context() as trained:
        trained.setattr(files, "TRAINING", ("torch",))
        score.score(project, Silent())
    kept = project.folder / "kept.json"
    picks = query.query(project, Budget(2), Silent(), dry_run=True, save=kept).picks
    with pytest.raises(ProjectError, match="base install leaves out") as refused:
        query.request_kept(project, kept, Silent())
    assert "`prelabels=False`" in refused.value.next_step
    assert not list(project.store.cells(state=State.REQUESTED))
    query.request_kept(project, kept, Silent(), prelabels=False)
    cells = {row.cell for row in project.store.cells(state=State.REQUESTED)}
    assert cells == {pick.cell for pick in picks}


def test_without_networks_previews_of_an_earlier_query_wait_and_hinder_no_other(
    project, without_networks
):
    folder = project.round_folder(project.round_number)
    query.query(project, Budget(2), Silent(), strategy="random_cells", prelabels=False)
    (folder / "previews-pending.txt").write_text("prelabels")
    progress = Said()
    query.query(project, Budget(3), progress, strategy="random_cells", prelabels=False)
    told = [line for line in progress.lines if "previews" in line]
    assert told == [
        "The previews of round 3 wait: they need labelgrid_has_no_such_package, which the base "
        "install leaves out. Install it: pip install 'labelgrid[train]'."
    ]
    assert not any("Writing" in line for line in progress.lines)
    assert (folder / "previews-pending.txt").exists()
