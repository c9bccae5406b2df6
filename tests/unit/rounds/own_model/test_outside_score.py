"""Laws of scoring with the predictions of a network outside the program."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelError, ModelError, NothingToBuyError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.operations.status import status_of
from labelgrid.project.records import newest_fit, read_measurement, read_picks
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds import evaluate, fit, models, predict, query, score
from labelgrid.rounds.context import context_of, labelled_images
from labelgrid.rounds.own_model import outside_score
from labelgrid.rounds.own_model.outside_predictions import OutsidePredictions
from labelgrid.rounds.round_scores import reads_suppliers, strategy_of
from labelgrid.select.strategy import Budget
from tests.outside import export_network, made_up, write_file, write_made_up
from tests.projects import Said, answer
from tests.rounds import copied, labelled, open_copy

COVERS = ["labelgrid.rounds.model_record", "labelgrid.rounds.own_model.outside_predictions"]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A project of which some images and the held-out ones are labelled, and predictions of all; each test copies it."""
    folder = tmp_path_factory.mktemp("first")
    project, images = labelled(folder, images=3)
    with project:
        write_made_up(project, folder / "predictions")
    return folder, images


@pytest.fixture
def made(first, tmp_path):
    """A test's own copy of the project and the predictions."""
    folder, images = first
    shutil.copytree(folder / "predictions", tmp_path / "predictions")
    with open_copy(folder / "flat", tmp_path / "flat") as project:
        yield project, images


class Counting(Said):
    """Keeps the steps, too, as [name, units done, all units]."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def start(self, what, total, unit):
        self.steps.append([what, 0, total])

    def advance(self, amount=1, note=""):
        self.steps[-1][1] += amount


def change_all(folder, keep):
    """Change the arrays of all files."""
    for path in folder.rglob("*.npz"):
        with np.load(path) as arrays:
            kept = keep(dict(arrays))
        np.savez(path, **kept)


def without(name):
    """Takes an array away."""
    return lambda arrays: {other: own for other, own in arrays.items() if other != name}


def run(project, tmp_path, strategy="", said=None):
    said = said or Silent()
    return outside_score.score_predictions(project, tmp_path / "predictions", said, strategy)


def pool_image(project, number):
    """The id of an image of the pool."""
    grid = project.store.grid()
    return str(grid.images[np.flatnonzero(grid.eligible.any(1))[number]])


def change(project, tmp_path, number, arrays):
    """Write other predictions of an image of the pool. Returns its id."""
    image_id = pool_image(project, number)
    write_file(tmp_path / "predictions", image_id, made_up(number) | arrays)
    return image_id


# What comes of them


def test_a_round_needs_no_training(made, tmp_path):
    project, _ = made
    told = Counting()
    table = run(project, tmp_path, said=told)
    assert all(done == total > 0 for _, done, total in told.steps), told.steps
    assert "Evaluating" in [what for what, _, _ in told.steps]
    assert set(table.statistics) == {"dropout"}
    assert np.isfinite(table.statistics["dropout"]).all()
    assert any("depth RMSE" in line and "(2 held-out images)" in line for line in told.lines)
    measured = read_measurement(project.round_folder(2))
    assert measured.heldout_labels == {"semseg": 2, "depth": 2, "normals": 2}
    assert np.isfinite(measured.metrics["depth"]["RMSE"].value) and np.isfinite(measured.loss_mtl)
    assert status_of(project)["headlines"]
    said = Said()
    result = query.query(project, Budget(4), said)
    assert len(result.picks) == 4 and result.strategy == "partal" and result.round == 2
    folder = project.round_folder(2)
    written = [path for path in (folder / "prelabels").rglob("*") if path.is_file()]
    assert len(written) == 4
    assert len(list((folder / "pictures").glob("*-uncertainty.jpg"))) == 4
    assert read_picks(folder)[0].explanation.nearest  # by the features of the files


def test_a_class_is_searched_by_files_without_features_and_an_example_is_not(made, tmp_path):
    project, _ = made
    change_all(tmp_path / "predictions", without("features"))
    run(project, tmp_path)
    names = project.tasks()["semseg"].class_names
    picks = []
    for name in names:
        try:
            found = query.query(project, Budget(2), Silent(), class_name=name, dry_run=True)
        except NothingToBuyError:  # predicted nowhere
            continue
        picks += found.picks
    assert picks and all(pick.cell.task == "semseg" for pick in picks)
    image = pool_image(project, 0)
    with pytest.raises(ModelError, match="'features' needs 'features' in the files"):
        query.query(project, Budget(2), Silent(), like=image, dry_run=True)


def test_an_example_beside_files_of_predictions_is_an_image_that_has_one(made, tmp_path):
    project, images = made
    run(project, tmp_path)
    image = pool_image(project, 0)
    found = query.query(project, Budget(3), Silent(), like=image, dry_run=True)
    assert found.picks[0].cell.image_id == image
    file = shutil.copy(images.images / image, tmp_path / f"another-{Path(image).name}")
    with pytest.raises(ProjectError, match="has no features: those of the newest model come from"):
        query.query(project, Budget(3), Silent(), like=str(file), dry_run=True)


@pytest.mark.parametrize(
    ("strategy", "contents", "passes"),
    [
        ("partal", "logits", True),
        ("bald", "probabilities", True),
        ("core_set", "probabilities", True),
        ("stratified", "probabilities", False),
        ("margin", "logits", False),
    ],
)
def test_predictions_of_our_network_as_files_give_its_scores(
    tmp_path, strategy, contents, passes, fitted
):
    project = fitted(tmp_path)
    with project:
        if strategy == "margin":
            chosen = PluginChoice("margin", {"statistic": "confidence"})
            project.settings = replace(project.settings, strategy=chosen)
        own = score.score(project, Silent(), strategy)
        export_network(project, tmp_path / "predictions", contents, passes)
        outside = run(project, tmp_path, strategy)
        assert own.images == outside.images and own.stamp["model"] != outside.stamp["model"]
        assert set(own.statistics) == set(outside.statistics)
        # Our network got the labels that an image has.
        unlabelled = [name not in labelled_images(project, "train") for name in own.images]
        assert sum(unlabelled) > 5
        for name, values in own.statistics.items():
            files = outside.statistics[name][unlabelled]
            assert np.allclose(values[unlabelled], files, rtol=1e-4, atol=1e-5), name


def test_files_disagree_with_a_supplier_as_our_network_does(tmp_path, fitted):
    project = fitted(tmp_path)
    statistic = {"statistic": "supplier_disagreement"}
    trusting = {**project.settings.changes, "suppliers": {"s": {"trust": 0.5}}}
    with project:
        (root, *_) = {row.root for row in project.store.images()}
        import_supplied(project, Path(root).parent / "labels", supplier="s")
        project.settings = replace(
            project.settings, strategy=PluginChoice("partal", statistic), changes=trusting
        )
        own = score.score(project, Silent())
        export_network(project, tmp_path / "predictions", "logits", False)
        outside = run(project, tmp_path)
        unlabelled = [name not in labelled_images(project, "train") for name in own.images]
    values = own.statistics["supplier_disagreement"][unlabelled]
    assert np.isfinite(values).all() and len(values) > 5
    files = outside.statistics["supplier_disagreement"][unlabelled]
    assert np.allclose(values, files, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Copies of a project with a trained network that sees whole images, without padding."""
    folder = tmp_path_factory.mktemp("fitted")
    project, _ = labelled(folder, images=2)
    recipe = folder / "tiny.toml"
    recipe.write_text(recipe.read_text().replace("[data]", '[data]\nfit = "resize"'))
    with project:
        fit.fit(project, Silent())
    return lambda where: copied(project, where / "flat")


def test_every_statistic_that_reads_no_network_is_computed_from_files(made, tmp_path):
    project, _ = made
    with_files = OutsidePredictions.of(tmp_path / "predictions", context_of(project))
    pool = next(with_files.batches([pool_image(project, 0)]))
    computed = set()
    for name in plugins.names("statistics"):
        statistic = build_plugin("statistics", PluginChoice(name, {}), 0)
        if statistic.reads != "network":
            # This image has no label of a supplier.
            assert np.isfinite(statistic(pool)).all() != reads_suppliers(name)
            computed.add(name)
    assert len(computed) == 7


def test_a_value_with_a_variance_is_as_sure_as_its_variance(tmp_path):
    project, _ = labelled(tmp_path, tasks=("depth",), images=2)
    generator = np.random.default_rng(0)
    with project:
        expected = {}
        for row in project.store.images(("train",)):
            variance = generator.uniform(0.5, 2, (2, 1, 1, 1)).astype(np.float32)
            values = generator.uniform(3, 5, (2, 1, 1, 1)).astype(np.float32)
            arrays = {"depth.values": values, "depth.variance": variance}
            write_file(tmp_path / "predictions", row.image_id, arrays)
            total = variance.mean() + values.var()  # law of total variance
            expected[row.image_id] = 0.5 * np.log(2 * np.pi * np.e * total)
        table = run(project, tmp_path)
    scores = dict(zip(table.images, table.statistics["dropout"][:, 0], strict=True))
    assert scores == pytest.approx({name: expected[name] for name in scores}, rel=1e-5)


def test_predictions_of_any_size_are_resampled(made, tmp_path):
    project, _ = made
    before = run(project, tmp_path).statistics["dropout"]
    image_id = change(project, tmp_path, 0, doubled(made_up(0)))
    after = run(project, tmp_path)
    row = list(after.images).index(image_id)
    assert np.isfinite(after.statistics["dropout"][row]).all()
    others = np.arange(len(before)) != row
    assert np.array_equal(before[others], after.statistics["dropout"][others])


def doubled(arrays):
    """Maps of twice the size."""
    found = {}
    for name, array in arrays.items():
        if array.ndim > 1:
            found[name] = np.kron(array, np.ones((2, 2), array.dtype))
    return found


def test_a_task_that_is_not_predicted_has_no_scores_and_is_not_measured(made, tmp_path):
    project, _ = made
    change_all(tmp_path / "predictions", without("normals.values"))
    run(project, tmp_path)
    assert newest_fit(project.folder).trained == ["semseg", "depth"]
    assert read_measurement(project.round_folder(2)).heldout_labels["normals"] == 0
    result = query.query(project, Budget(9), Silent())
    assert {pick.cell.task for pick in result.picks} <= {"semseg", "depth", "normals"}


def test_single_predictions_of_classes_are_scored_by_their_confidence(made, tmp_path):
    project, _ = made
    name = "semseg.probabilities"
    change_all(tmp_path / "predictions", lambda arrays: {name: arrays[name][0]})
    with pytest.raises(ModelError, match="'dropout' needs several passes of semseg"):
        run(project, tmp_path)
    assert newest_fit(project.folder) is None
    project.settings = replace(
        project.settings, strategy=PluginChoice("margin", {"statistic": "confidence"})
    )
    assert set(run(project, tmp_path).statistics) == {"confidence"}


def test_held_out_images_without_files_are_not_measured_and_that_is_said(made, tmp_path):
    project, _ = made
    for row in project.store.images(("heldout",)):
        (tmp_path / "predictions" / row.image_id).with_suffix(".npz").unlink()
    said = Said()
    run(project, tmp_path, said=said)
    assert read_measurement(project.round_folder(2)) is None
    assert any("no file is of a held-out image" in line for line in said.lines)


# What is refused


@pytest.mark.parametrize("strategy", ["tcd", "learning_loss"])
def test_statistics_of_a_network_are_refused_by_name(made, tmp_path, strategy):
    project, _ = made
    with pytest.raises(ModelError, match="needs a network that labelgrid trained") as refused:
        run(project, tmp_path, strategy)
    for name in strategy_of(project, strategy)[1].needs - {"dropout", "features"}:
        assert f"'{name}'" in refused.value.what
    assert newest_fit(project.folder) is None


def test_features_that_are_not_given_are_refused(made, tmp_path):
    project, _ = made
    change_all(tmp_path / "predictions", without("features"))
    with pytest.raises(ModelError, match="'features' needs 'features' in the files"):
        run(project, tmp_path, "core_set")


def test_every_wrong_array_is_refused_before_any_work(made, tmp_path):
    project, _ = made
    wrong = {
        "must be [4, h, w]": {"semseg.probabilities": np.full((3, 3, 8, 12), 1 / 3)},
        "name them 'semseg.logits'": {"semseg.probabilities": np.full((3, 4, 8, 12), 0.5)},
        "864 values that are NaN": {"normals.values": np.full((3, 3, 8, 12), np.nan)},
        "It holds semseg.probabilities [3], depth.values [2]": {
            "depth.values": np.ones((2, 1, 8, 12))
        },
    }
    for number, arrays in enumerate(wrong.values(), 1):
        change(project, tmp_path, number, arrays)
    with pytest.raises(LabelError, match="The predictions have 4 faults") as refused:
        run(project, tmp_path)
    text = str(refused.value)
    assert all(part in text for part in [*wrong, "Nothing was scored"])
    assert newest_fit(project.folder) is None and not project.round_folder(2).exists()


def test_maps_without_their_first_axis_are_told_their_shape_not_that_passes_are_missing(
    made, tmp_path
):
    project, _ = made
    change_all(tmp_path / "predictions", lambda arrays: arrays | {"depth.values": np.ones((8, 12))})
    with pytest.raises(LabelError, match=r"'depth.values' must be \[1, h, w\].* it is 8x12"):
        run(project, tmp_path)


def test_all_faults_are_listed_and_equal_ones_are_grouped(tmp_path):
    project, _ = labelled(tmp_path, n=40, images=2, tasks=("depth",))
    with project:
        first, *others = [row.image_id for row in project.store.images()]
        write_file(tmp_path / "predictions", first, {"depth.values": np.ones((2, 1, 4, 4))})
        write_file(tmp_path / "predictions", "elsewhere/a.jpg", {"depth.values": np.ones((1, 4))})
        broken = write_file(tmp_path / "predictions", others[0], {"depth.values": np.ones(1)})
        broken.write_bytes(broken.read_bytes()[:50])
        with pytest.raises(LabelError) as refused:
            run(project, tmp_path)
    text = str(refused.value)
    assert "files: the same fault. There is no such file." in text
    assert "The file cannot be read" in text
    assert "Files that are of no image: elsewhere/a.npz." in text


def test_a_folder_without_a_file_of_an_image_is_refused(made, tmp_path):
    project, _ = made
    with pytest.raises(ProjectError, match="does not exist"):
        outside_score.score_predictions(project, tmp_path / "none", Silent())
    (tmp_path / "other").mkdir()
    with pytest.raises(ProjectError, match=r"holds no \.npz file"):
        outside_score.score_predictions(project, tmp_path / "other", Silent())
    write_file(tmp_path / "other", "IMG_1.jpg", made_up(0))
    with pytest.raises(LabelError, match=r"Found IMG_1\.npz; expected such as"):
        outside_score.score_predictions(project, tmp_path / "other", Silent())


def test_maps_that_are_all_turned_are_refused_and_a_stretched_one_is_not(tmp_path):
    project, made = labelled(tmp_path, tasks=("depth",), images=2)
    with project:
        for row in project.store.images():
            height, width = cv2.imread(str(made.images / row.image_id)).shape[:2]
            turned = {"depth.values": np.ones((2, 1, width, height))}
            write_file(tmp_path / "predictions", row.image_id, turned)
        with pytest.raises(LabelError, match="Its maps are turned: the image is"):
            run(project, tmp_path)
        stretched = {"depth.values": np.ones((2, 1, 9, 9))}
        write_file(tmp_path / "predictions", pool_image(project, 0), stretched)
        run(project, tmp_path)


def test_nothing_is_unpickled(made, tmp_path):
    project, _ = made
    change(project, tmp_path, 0, {"depth.values": np.array([print], object)})
    with pytest.raises(LabelError, match="does not hold an array of numbers"):
        run(project, tmp_path)


# What follows


def test_scores_are_stale_once_a_file_of_predictions_changed(made, tmp_path):
    project, _ = made
    run(project, tmp_path)
    change(project, tmp_path, 0, {"depth.values": np.ones((3, 1, 8, 12))})
    with pytest.raises(ProjectError, match="the predictions changed since") as stale:
        query.query(project, Budget(4), Silent())
    assert "--predictions" in stale.value.next_step
    run(project, tmp_path)
    query.query(project, Budget(4), Silent(), dry_run=True)


def test_scores_last_without_their_files_but_no_previews_are_written(made, tmp_path):
    project, _ = made
    run(project, tmp_path)
    shutil.rmtree(tmp_path / "predictions")
    said = Said()
    assert query.query(project, Budget(4), said).picks
    assert any("No previews are written: The predictions" in line for line in said.lines)


def test_the_next_round_is_scored_with_the_predictions_of_the_last_one(made, tmp_path):
    project, images = made
    run(project, tmp_path)
    query.query(project, Budget(3), Silent())
    answer(project, images)
    said = Said()
    query.query(project, Budget(2), said)
    assert any("Scoring with the predictions of round 2" in line for line in said.lines)
    change(project, tmp_path, 0, {"depth.values": np.ones((3, 1, 8, 12))})
    answer(project, images)
    with pytest.raises(ModelError, match="have changed"):
        query.query(project, Budget(2), Silent())


def test_what_needs_a_network_says_so_and_a_training_takes_over(made, tmp_path):
    project, images = made
    run(project, tmp_path)
    with pytest.raises(ModelError, match="the folder of predictions that round 2 was scored with"):
        predict.predict(project, images.images, tmp_path / "out", None, Silent())
    first = evaluate.evaluate_split(project, "heldout", Silent())
    assert first["labels"]["depth"] == 2
    query.query(project, Budget(3), Silent())
    answer(project, images)
    done = fit.fit(project, Silent())
    assert done.checkpoint and not done.predictions
    assert newest_fit(project.folder) == done
    assert models.previous_model(context_of(project), 3) is None
    query.query(project, Budget(3), Silent(), dry_run=True)
