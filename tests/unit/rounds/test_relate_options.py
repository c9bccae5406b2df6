"""Laws of the options that `relate` finds, on small projects with planted ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelgrid.advice.advise import relation_advice
from labelgrid.basics.progress import Silent
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.recipes.resolve import load_recipe
from labelgrid.relations.bound import bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.suppliers.relate import relate
from labelgrid.suppliers.relation_offers import offers_text, relation_offers
from labelgrid.suppliers.relation_trust import RelationRow
from labelgrid.tasks.task import definitions
from tests.support import make_dataset

COVERS = ["labelgrid.suppliers.relation_trust", "labelgrid.relations.offered"]
#: No class is called person.
CLASSES = ["none", "shirt", "skirt", "shoe", "hat", "bag", "belt"]
CLOTHES = {"classes": CLASSES}
SIZE = (48, 64)
IMAGES = 6
#: The number of an image -> its labels [h, w], by task.
Labels = Callable[[int], dict[str, np.ndarray]]


def blocks(number: int, classes: int = len(CLASSES)) -> np.ndarray:
    """Classes in random rectangles."""
    rng = np.random.default_rng(number)
    return rng.integers(0, classes, (6, 8)).repeat(8, 0).repeat(8, 1)


def project_of(folder: Path, rows: list[TaskRow], labels: Labels) -> ProjectFolder:
    """A project whose images have these labels, all training images."""
    made = make_dataset(folder / "made", n=IMAGES, size=SIZE, tasks=())
    project = create.create(
        folder / "flat",
        [made.images],
        tasks=rows,
        settings=Settings(recipe="small-shared-heads"),
        progress=Silent(),
        holdout=0,
    )
    tasks = project.tasks()
    for number, name in enumerate(made.names):
        for task, value in labels(number).items():
            path = (folder / "answers" / task / name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            kind = np.int64 if tasks[task].kind == "semseg" else np.float32
            label = LabelArray(value.astype(kind)[..., None], np.ones(SIZE, np.bool_))
            tasks[task].write(path, label)
    if (folder / "answers").exists():
        import_labels(project, folder / "answers", accept=True)
    return project


def rows_of(project: ProjectFolder) -> dict[str, RelationRow]:
    return {row.name: row for row in relate(project, Silent()).relations}


def kind_row(name: str, kind: str, **options: object) -> TaskRow:
    return TaskRow(name, kind, 1.0, options)


@pytest.mark.parametrize("side", ["both", "first", "second"])
def test_the_side_of_a_border_on_which_edges_lie_is_found(tmp_path: Path, side: str) -> None:
    rows = [kind_row("semseg", "semseg", **CLOTHES), kind_row("edges", "edges")]
    choice = RelationChoice(options={"side": side})
    relation = bind("semseg_edges", choice, definitions(rows))

    def labels(number: int) -> dict[str, np.ndarray]:
        classes = blocks(number)
        label = LabelArray(classes[..., None], np.ones(SIZE, np.bool_))
        edges = relation.label({"semseg": label}, None).value[..., 0]
        return {"semseg": classes, "edges": edges}

    with project_of(tmp_path, rows, labels) as project:
        row = rows_of(project)["semseg_edges"]
    assert row.options == {"side": side}
    assert row.trust == 1 and row.measured is not None and row.measured.coverage == 1


def saliency(number: int) -> dict[str, np.ndarray]:
    classes = blocks(number)
    return {"semseg": classes, "saliency": classes > 0}


def test_any_class_but_the_background_is_found_to_be_salient(tmp_path: Path) -> None:
    rows = [kind_row("semseg", "semseg", **CLOTHES), kind_row("saliency", "saliency")]
    with project_of(tmp_path, rows, saliency) as project:
        related = relate(project, Silent(), write=True)
        (row,) = related.relations
        assert row.options == {"others": ["none"]} and row.trust == 1 and not row.declared
        with ProjectFolder.open(project.folder) as again:
            (row,) = relate(again, Silent()).relations
        assert row.declared and row.declared_options == {"others": ["none"]}


def test_classes_that_say_nothing_of_what_is_salient_get_no_trust(tmp_path: Path) -> None:
    rows = [kind_row("semseg", "semseg", **CLOTHES), kind_row("saliency", "saliency")]

    def labels(number: int) -> dict[str, np.ndarray]:
        return {"semseg": blocks(number), "saliency": blocks(number + 100) > 3}

    with project_of(tmp_path, rows, labels) as project:
        assert rows_of(project)["classes_saliency"].trust == 0


def test_trust_is_measured_on_images_that_did_not_choose_the_options(tmp_path: Path) -> None:
    """Each image has a class of its own that is salient, and three that are not."""
    names = ["none"] + [f"{letter}{number}" for number in range(IMAGES) for letter in "abcd"]
    rows = [kind_row("semseg", "semseg", classes=names), kind_row("saliency", "saliency")]

    def labels(number: int) -> dict[str, np.ndarray]:
        own = blocks(number, 4)
        return {"semseg": 1 + 4 * number + own, "saliency": own == 0}

    with project_of(tmp_path, rows, labels) as project:
        row = rows_of(project)["classes_saliency"]
    assert row.options == {"classes": names[1::4]}  # exact on all images together
    assert not row.trust


def test_the_class_of_each_part_is_found_whatever_the_tasks_are_called(tmp_path: Path) -> None:
    rows = [
        kind_row("fine", "semseg", **CLOTHES),
        kind_row("coarse", "semseg", classes=["empty", "garment", "thing"]),
    ]
    coarse = np.array([0, 1, 1, 2, 2, 2, 2])

    def labels(number: int) -> dict[str, np.ndarray]:
        return {"fine": blocks(number), "coarse": coarse[blocks(number)]}

    with project_of(tmp_path, rows, labels) as project:
        found = rows_of(project)
    row = found["parts_semseg_fine_coarse"]
    assert row.trust == 1 and row.measured is not None and row.measured.coverage == 1
    assert row.options["owners"]["skirt"] == "garment"
    back = found["parts_semseg_coarse_fine"]  # only what is empty follows
    assert back.measured is None or back.measured.coverage < 0.5


def test_the_baseline_of_two_cameras_is_found(tmp_path: Path) -> None:
    rows = [kind_row("stereo", "depth", disparity=True), kind_row("depth", "depth")]

    def labels(number: int) -> dict[str, np.ndarray]:
        depth = 2 + 0.5 * blocks(number)
        return {"stereo": 8 / depth, "depth": depth}

    with project_of(tmp_path, rows, labels) as project:
        (project.folder / "camera.toml").write_text("field_of_view = 90.0\n")  # 32 pixels
        row = rows_of(project)["disparity_depth"]
    assert row.options["baseline"] == pytest.approx(8 / 32, rel=0.02)
    assert row.trust is not None and row.trust > 0.9


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        ([("semseg", "semseg"), ("saliency", "saliency")], {("semseg", "saliency")}),
        (
            [("semseg", "semseg"), ("parts", "semseg"), ("edges", "edges")],
            {("semseg", "edges"), ("parts", "edges"), ("semseg", "parts"), ("parts", "semseg")},
        ),
        ([("semseg", "semseg"), ("depth", "depth")], set()),
    ],
)
def test_what_may_follow_with_options_that_are_to_be_found_is_offered_by_the_kinds_alone(
    tmp_path: Path, rows: list[tuple[str, str]], ends: set[tuple[str, str]]
) -> None:
    tasks = []
    for name, kind in rows:
        tasks.append(kind_row(name, kind, **(CLOTHES if kind == "semseg" else {})))
    with project_of(tmp_path, tasks, lambda _: {}) as project:
        offers = relation_offers(project)
        advice = relation_advice(project, load_recipe("small-shared-heads", {}))
        said = offers_text(offers, project.folder)
    assert len(advice) == len(offers)
    assert all(f"{offer.gives} from" in said or f"{offer.gives} may" in said for offer in offers)
    assert {(*offer.reads, offer.gives) for offer in offers} == ends
    assert len(offers) == len(ends)


def test_what_was_written_is_proposed_again_and_nothing_in_its_place(tmp_path: Path) -> None:
    """Two plug-ins may join classes with parts; `relate` proposes one of them, also the next time."""
    tasks = [kind_row(name, "semseg", **CLOTHES) for name in ("semseg", "parts")]

    def labels(number: int) -> dict[str, np.ndarray]:
        return {"semseg": blocks(number), "parts": blocks(number)}

    with project_of(tmp_path, tasks, labels) as project:
        first = rows_of(project)
        relate(project, Silent(), write=True)
    with ProjectFolder.open(project.folder) as opened:
        again = rows_of(opened)
    assert set(again) == set(first)


def test_labels_that_settle_no_options_are_said_with_the_next_step(tmp_path: Path) -> None:
    """Nothing is salient in any image, so no class is."""
    rows = [kind_row("semseg", "semseg", **CLOTHES), kind_row("saliency", "saliency")]

    def labels(number: int) -> dict[str, np.ndarray]:
        return {"semseg": blocks(number), "saliency": np.zeros(SIZE)}

    with project_of(tmp_path, rows, labels) as project:
        row = rows_of(project)["classes_saliency"]
    assert row.trust is None
    assert "settle no options" in row.remark and "--pairs 10` requests them" in row.remark
