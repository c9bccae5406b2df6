"""Predictions in files get the values that the same predictions get inside labelgrid.

Unusable ones are refused.
"""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.data.frame import target_of
from labelgrid.data.layouts import folder as layout
from labelgrid.formats.soft import write_soft
from labelgrid.ledger.grid import TaskRow
from labelgrid.rounds import evaluate, fit, predict, query
from labelgrid.rounds.evaluate_files import evaluate_files
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import TaskDef, definitions
from tests.projects import answer, make_project
from tests.support import Made, make_dataset, task_rows

COVERS = ["labelgrid.rounds.evaluate", "labelgrid.rounds.prediction_files"]
SIZE = (12, 16)


def test_files_of_a_model_have_the_models_metrics(tmp_path: Path) -> None:
    project, made = make_project(tmp_path, n=6, holdout=3, tasks=("semseg", "depth", "edges"))
    with project:
        answer(project, made)
        query.query(project, Budget(2, "images"), Silent())
        answer(project, made)
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        predict.predict(
            project,
            made.images,
            out=tmp_path / "soft",
            known_labels=None,
            progress=Silent(),
            soft=True,
        )
        own = evaluate.evaluate_split(project, "heldout", Silent())
        files = evaluate.evaluate_predictions(project, tmp_path / "soft", "heldout", Silent())
        assert files["labels"] == own["labels"] and files["metrics"].keys() == own["metrics"].keys()
        for task, group in own["metrics"].items():
            for name, result in group.items():
                assert files["metrics"][task][name]["value"] == pytest.approx(
                    result["value"],
                    rel=1e-2,
                    abs=0.02,  # a tie between classes may be rounded
                ), name
        for path in (tmp_path / "soft").rglob("*.npz"):
            path.unlink()  # what is left are label files
        hard = evaluate.evaluate_predictions(project, tmp_path / "soft", "heldout", Silent())[
            "metrics"
        ]
        for task, name in (("semseg", "mIoU"), ("depth", "absErr")):
            assert hard[task][name]["value"] == pytest.approx(
                own["metrics"][task][name]["value"], rel=1e-2
            )
        with pytest.raises(ProjectError, match="The val split has no label"):
            evaluate.evaluate_predictions(project, tmp_path / "soft", "val", Silent())


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=3, size=SIZE)


def score(
    made: Made, predictions: Path, tasks: dict[str, TaskDef] | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    source = layout.build(made.root)
    return evaluate_files(
        source,
        tasks or definitions(list(made.rows)),
        image_ids=source.images(),
        folder=predictions,
        progress=Silent(),
    )


def test_the_labels_themselves_are_perfect_for_every_kind(made: Made) -> None:
    found = score(made, made.labels)
    assert found["labels"] == dict.fromkeys(("semseg", "depth", "normals", "edges", "saliency"), 3)
    best = {
        task: {name: one["value"] for name, one in group.items()}
        for task, group in found["metrics"].items()
    }
    assert (
        best["semseg"]["mIoU"] == 100 and best["depth"]["RMSE"] == 0 and best["edges"]["AP"] == 100
    )
    assert best["normals"]["mErr"] < 0.01 and best["saliency"]["IoU"] == 100


@pytest.mark.parametrize("form", ["png8", "png16", "npy", "npy3", "npz", "whole", "bool"])
def test_probabilities_come_in_several_forms(made: Made, tmp_path: Path, form: str) -> None:
    values = np.linspace(0, 1, 256)[np.arange(np.prod(SIZE)).reshape(SIZE) % 256]
    if form in ("whole", "bool"):
        values = np.rint(values)
    (tmp_path / "out/edges").mkdir(parents=True)
    for name in made.names:
        path = tmp_path / "out/edges" / Path(name).stem
        if form in ("png8", "png16"):
            top, kind = (255, np.uint8) if form == "png8" else (65535, np.uint16)
            cv2.imwrite(f"{path}.png", np.rint(values * top).astype(kind))
        elif form == "npz":
            write_soft(Path(f"{path}.npz"), values[None])
        else:
            array = {
                "npy3": values[..., None],
                "whole": values.astype(np.int64),
                "bool": values > 0,
            }.get(form, values)
            np.save(f"{path}.npy", array)
    wanted = score(made, made.labels)["metrics"]["edges"]["AP"]["value"]
    found = score(made, tmp_path / "out")
    assert list(found["labels"]) == ["edges"]
    task = definitions(list(made.rows))["edges"].build()
    metric = task.metric()
    for name in made.names:
        label = layout.build(made.root).label(name, definitions(list(made.rows))["edges"])
        assert label is not None
        metric.update(torch.from_numpy(values)[None, None], target_of(label))
        metric.end_image()
    assert (
        found["metrics"]["edges"]["AP"]["value"]
        == pytest.approx(metric.compute()["AP"].value, abs=1e-6)
        != wanted
    )


@pytest.mark.parametrize(
    "soft", [True, False], ids=["probabilities by class first", "class numbers"]
)
def test_predictions_of_classes_may_be_arrays(made: Made, tmp_path: Path, soft: bool) -> None:
    (tmp_path / "out/semseg").mkdir(parents=True)
    task = definitions(list(made.rows))["semseg"]
    for name in made.names:
        label = layout.build(made.root).label(name, task)
        assert label is not None
        numbers = np.where(label.valid, label.value[..., 0], 0).astype(np.int64)
        predicted = np.eye(4, dtype=np.float32)[numbers].transpose(2, 0, 1) if soft else numbers
        np.save(tmp_path / f"out/semseg/{Path(name).stem}.npy", predicted)
    assert score(made, tmp_path / "out")["metrics"]["semseg"]["mIoU"]["value"] == 100
    first = tmp_path / "out/semseg/0000.npy"
    for wrong, fault in (
        (-1, "pixels of the label have no prediction"),
        (4, "the class numbers 4; the task 'semseg' has 4"),
    ):
        np.save(first, np.where(np.arange(SIZE[0]) < 6, wrong, 0)[:, None].repeat(SIZE[1], 1))
        with pytest.raises(LabelError, match=fault):
            score(made, tmp_path / "out")


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_folders_of_no_task_are_named(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made.labels / "semseg", out / "segmentation")
    with pytest.raises(
        ProjectError,
        match=r"(?s)No task has a folder of predictions; found: segmentation .*semseg, depth",
    ):
        score(made, out)
    shutil.copytree(made.labels / "depth", out / "depth")
    heard, source = Heard(), layout.build(made.root)
    evaluate_files(
        source, definitions(list(made.rows)), image_ids=source.images(), folder=out, progress=heard
    )
    assert heard.said == [
        "Not measured, as no task has this name: segmentation. The tasks are semseg, depth, normals, edges, saliency."
    ]


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_grey_png_of_zero_and_one_is_refused(
    made: Made, tmp_path: Path, kind: type[np.generic], top: int
) -> None:
    (tmp_path / "out/edges").mkdir(parents=True)
    for name in made.names:
        cv2.imwrite(str(tmp_path / f"out/edges/{Path(name).stem}.png"), np.eye(*SIZE).astype(kind))
    with pytest.raises(LabelError, match=f"is 1, where {top} is certain") as caught:
        score(made, tmp_path / "out")
    assert caught.value.next_step == f"Save 0 and {top}, or floats as .npy."


def test_depth_without_a_value_counts_as_zero_as_a_soft_one_does(
    made: Made, tmp_path: Path
) -> None:
    for name in made.names:
        depth = np.full(SIZE, 2.0)
        depth[4:6, 4:6] = -0.01
        for form in ("hard", "soft"):
            (tmp_path / form / "depth").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"hard/depth/{Path(name).stem}.npy", depth)
        write_soft(tmp_path / f"soft/depth/{Path(name).stem}.npz", depth[None])
    hard, soft = (score(made, tmp_path / form)["metrics"]["depth"] for form in ("hard", "soft"))
    assert (
        hard["RMSE"]["value"] == pytest.approx(soft["RMSE"]["value"], rel=1e-5)
        and hard["RMSE"]["value"] > 0
    )


def test_numbers_above_one_are_no_probabilities(made: Made, tmp_path: Path) -> None:
    (tmp_path / "out/edges").mkdir(parents=True)
    for name in made.names:
        np.save(tmp_path / f"out/edges/{Path(name).stem}.npy", np.full(SIZE, 255, np.uint8))
    with pytest.raises(LabelError, match="Probabilities are from 0 to 1; these are 255 to 255"):
        score(made, tmp_path / "out")


def test_what_cannot_be_compared_is_refused_before_anything_is_measured(
    made: Made, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(
        ProjectError, match=r"(?s)No task has a folder of predictions.*semseg, depth"
    ):
        score(made, out)
    (out / "semseg").mkdir()
    with pytest.raises(
        ProjectError, match=r"3 labels have no prediction of semseg, the first that of '0000\.jpg'"
    ):
        score(made, out)
    (out / "semseg/0000_pred.png").touch()
    with pytest.raises(
        ProjectError,
        match=r"Expected 0000\.npz or 0000\.png or .* or 0000\.npy; found 0000_pred\.png",
    ) as caught:
        score(made, out)
    assert caught.value.next_step.endswith("Or remove the task's folder.")
    (out / "semseg/0000_pred.png").unlink()
    for name in made.names:
        cv2.imwrite(str(out / f"semseg/{Path(name).stem}.png"), np.zeros(SIZE, np.uint8))
    first = out / "semseg/0000.png"
    cv2.imwrite(str(first), np.zeros((6, 8), np.uint8))
    with pytest.raises(LabelError, match=r"(?s)The prediction is 6x8, its label 12x16.*0000\.png"):
        score(made, out)
    gaps = np.zeros(SIZE, np.uint8)
    gaps[6, 3:5] = 255
    cv2.imwrite(str(first), gaps)
    with pytest.raises(LabelError, match="2 pixels of the label have no prediction"):
        score(made, out)
    np.save(first.with_suffix(".npy"), np.zeros((3, *SIZE), np.float32))
    first.unlink()
    with pytest.raises(
        LabelError, match=r"A soft prediction of semseg is \[4, h, w\]; this one is 3x12x16"
    ):
        score(made, out)
    np.save(first.with_suffix(".npy"), np.full((4, *SIZE), 2.0, np.float32))
    with pytest.raises(LabelError, match="Probabilities are from 0 to 1; these are 2 to 2"):
        score(made, out)
    only = {"edges": definitions(list(task_rows(("edges",))))["edges"]}
    (out / "edges").mkdir()
    for path in (made.labels / "edges").iterdir():
        path.unlink()
    with pytest.raises(ProjectError, match="None of these images has a label"):
        score(made, out, only)


def put(folder: Path, made: Made, array: np.ndarray) -> None:
    """Write one array as the prediction of every image."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in made.names:
        np.save(folder / f"{Path(name).stem}.npy", array)


@pytest.mark.parametrize(
    "order", [("wall", "floor", "chair", "lamp"), ("floor", "wall", "lamp", "chair")]
)
def test_a_class_that_was_not_annotated_misses_the_true_one_in_any_order_of_classes(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    images, labels, out = tmp_path / "images", tmp_path / "labels/things", tmp_path / "out/things"
    for folder in (images, labels, out):
        folder.mkdir(parents=True)
    cv2.imwrite(str(images / "a.png"), np.zeros((2, 4, 3), np.uint8))
    truth = np.array([["wall", "wall", "wall", "floor"]] * 2)
    text = PngInfo()
    text.add_text("annotated", "wall\nfloor")
    Image.fromarray(np.vectorize(order.index)(truth).astype(np.uint8)).save(
        labels / "a.png", pnginfo=text
    )
    predicted = np.array([["wall", "chair", "chair", "chair"], ["wall", "wall", "floor", "floor"]])
    cv2.imwrite(str(out / "a.png"), np.vectorize(order.index)(predicted).astype(np.uint8))
    tasks = definitions([TaskRow("things", "semseg", 1.0, {"classes": list(order)})])
    found = evaluate_files(
        layout.build(tmp_path),
        tasks,
        image_ids=["a.png"],
        folder=tmp_path / "out",
        progress=Silent(),
    )["metrics"]["things"]
    assert found["pixAcc"]["value"] == pytest.approx(100 * 4 / 8)
    assert found["mIoU"]["value"] == pytest.approx(100 * (3 / 6 + 1 / 3) / 2)  # chair has no IoU


def test_values_in_another_unit_are_remarked_on(made: Made, tmp_path: Path) -> None:
    source, task = layout.build(made.root), definitions(list(made.rows))["depth"]
    for factor in (1000, 2):
        for name in made.names:
            label = source.label(name, task)
            assert label is not None
            (tmp_path / f"{factor}/depth").mkdir(parents=True, exist_ok=True)
            np.save(
                tmp_path / f"{factor}/depth/{Path(name).stem}.npy", factor * label.value[..., 0]
            )
        heard = Heard()
        evaluate_files(
            source,
            {"depth": task},
            image_ids=source.images(),
            folder=tmp_path / str(factor),
            progress=heard,
        )
        remark = "depth: the median depth of the predictions is 1e+03 times that of the labels. Check the unit."
        assert heard.said == ([remark] if factor == 1000 else [])


@pytest.mark.parametrize("extension", [".npz", ".npy"])
def test_predictions_of_values_of_any_form_are_compared_with_the_labels(
    made: Made, tmp_path: Path, extension: str
) -> None:
    tasks, source = definitions(list(made.rows)), layout.build(made.root)
    for name in made.names:
        millimetres = 1000 * source.label(name, tasks["depth"]).value  # type: ignore[union-attr]
        for folder, stored in (
            ("depth", millimetres),
            ("normals", np.full((*SIZE, 3), (0.0, 0.0, -1.0))),
        ):
            path = tmp_path / "out" / folder / f"{Path(name).stem}{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if extension == ".npz":
                write_soft(path, stored.transpose(2, 0, 1).astype(np.float32))
            else:
                np.save(path, stored.astype(np.float32))
    heard = Heard()
    found = evaluate_files(
        source, tasks, image_ids=source.images(), folder=tmp_path / "out", progress=heard
    )["metrics"]
    assert found["normals"]["mErr"]["value"] > 90  # a poor prediction may point anywhere
    assert any(
        said.startswith("depth: the median depth of the predictions is 1e+03 times")
        for said in heard.said
    )
    assert any(
        said.startswith("normals: the mean z (toward the camera) of the pred")
        for said in heard.said
    )


def test_disparity_in_the_steps_of_cityscapes_is_remarked_on(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels/depth").mkdir(parents=True)
    (tmp_path / "out/depth").mkdir(parents=True)
    disparity = np.random.default_rng(0).uniform(5, 100, SIZE)
    disparity = np.rint(disparity * 256) / 256
    cv2.imwrite(str(tmp_path / "images/a.png"), np.zeros((*SIZE, 3), np.uint8))
    np.save(tmp_path / "labels/depth/a.npy", disparity)
    cv2.imwrite(str(tmp_path / "out/depth/a.png"), (disparity * 256).astype(np.uint16))
    source, heard = layout.build(tmp_path), Heard()
    tasks = definitions([TaskRow("depth", "depth", 1.0, {"disparity": True})])
    evaluate_files(source, tasks, image_ids=["a.png"], folder=tmp_path / "out", progress=heard)
    assert heard.said == [
        "depth: the median disparity of the predictions is 0.256 times that of the labels. Check the unit."
    ]


def test_normals_that_an_upsampling_shortened_count_by_their_direction(
    made: Made, tmp_path: Path
) -> None:
    task, source = definitions(list(made.rows))["normals"], layout.build(made.root)
    for name in made.names:
        label = source.label(name, task)
        assert label is not None
        value = label.value.copy()
        value[0] *= 0.7
        (tmp_path / "out/normals").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"out/normals/{Path(name).stem}.npy", value)
    assert score(made, tmp_path / "out")["metrics"]["normals"]["mErr"]["value"] < 0.05
    for scale in (0.5, 2.0):
        np.save(
            tmp_path / f"out/normals/{Path(made.names[0]).stem}.npy",
            np.full((*SIZE, 3), (0.0, 0.0, scale)),
        )
        with pytest.raises(
            LabelError, match=rf"(?s)median length of the normals is {scale:g}, not 1.*as they are"
        ):
            score(made, tmp_path / "out")


def test_a_vector_that_is_too_short_to_have_a_direction_is_no_normal(
    made: Made, tmp_path: Path
) -> None:
    value = np.full((*SIZE, 3), (0.0, 0.0, 1.0), np.float32)
    value[0, 0] = (1e-24, 0, 0)
    put(tmp_path / "out/normals", made, value)
    heard, source = Heard(), layout.build(made.root)
    found = evaluate_files(
        source,
        definitions(list(made.rows)),
        image_ids=source.images(),
        folder=tmp_path / "out",
        progress=heard,
    )
    assert np.isfinite(found["metrics"]["normals"]["mErr"]["value"])
    assert heard.said[0].startswith("normals: 0.") and "have no value" in heard.said[0]


def test_probabilities_may_be_of_the_classes_before_merge_or_after(
    made: Made, tmp_path: Path
) -> None:
    (row,) = task_rows(("semseg",))
    first, second, *_ = row.options["classes"]
    tasks = definitions(
        [TaskRow("semseg", "semseg", 1.0, {**row.options, "merge": {second: first}})]
    )
    before = (
        np.random.default_rng(1)
        .dirichlet(np.ones(4), (len(made.names), *SIZE))
        .transpose(0, 3, 1, 2)
    )
    index = tasks["semseg"].options.index
    for folder, form in (
        ("before", before),
        ("after", np.stack([before[:, index == k].sum(1) for k in range(3)], 1)),
    ):
        (tmp_path / folder / "semseg").mkdir(parents=True)
        for name, values in zip(made.names, form, strict=True):
            np.save(tmp_path / folder / f"semseg/{Path(name).stem}.npy", values.astype(np.float32))
    assert (
        score(made, tmp_path / "before", tasks)["metrics"]
        == score(made, tmp_path / "after", tasks)["metrics"]
    )
    put(tmp_path / "other/semseg", made, before[0, :2])
    with pytest.raises(
        LabelError, match=r"is \[3, h, w\], or \[4, h, w\] before `merge`; this one is 2x"
    ):
        score(made, tmp_path / "other", tasks)
    put(tmp_path / "hard/semseg", made, np.zeros(SIZE, np.int64))
    heard, source = Heard(), layout.build(made.root)
    evaluate_files(
        source, tasks, image_ids=source.images(), folder=tmp_path / "hard", progress=heard
    )
    assert heard.said == ["semseg: class numbers count the 4 classes before `merge`, as labels do."]


def test_two_files_of_one_prediction_are_refused(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.labels / "semseg", tmp_path / "out/semseg")
    put(tmp_path / "out/semseg", made, np.zeros(SIZE, np.int64))
    with pytest.raises(LabelError, match=r"(?s)Both '.*\.png' and '.*\.npy' exist.*Remove one"):
        score(made, tmp_path / "out")


def test_pixels_without_a_value_are_counted(made: Made, tmp_path: Path) -> None:
    put(tmp_path / "out/depth", made, np.full(SIZE, np.nan))
    heard, source = Heard(), layout.build(made.root)
    evaluate_files(
        source,
        definitions(list(made.rows)),
        image_ids=source.images(),
        folder=tmp_path / "out",
        progress=heard,
    )
    assert heard.said[0].startswith(
        "depth: 100.00% of the labels' pixels have no value in the predictions."
    )


def test_a_prediction_without_a_value_counts_as_zero_and_off_by_90_degrees(
    made: Made, tmp_path: Path
) -> None:
    put(tmp_path / "out/depth", made, np.full(SIZE, np.nan))
    put(tmp_path / "out/normals", made, np.zeros((*SIZE, 3)))
    put(tmp_path / "zero/depth", made, np.full(SIZE, 1e-6))
    found, zero = (
        score(made, tmp_path / "out")["metrics"],
        score(made, tmp_path / "zero")["metrics"],
    )
    assert found["normals"]["mErr"]["value"] == pytest.approx(90)
    assert found["depth"]["RMSE"]["value"] == pytest.approx(
        zero["depth"]["RMSE"]["value"], rel=1e-4
    )
    put(tmp_path / "none/semseg", made, np.full(SIZE, -1))
    with pytest.raises(LabelError, match="The prediction has no class at any pixel"):
        score(made, tmp_path / "none")


@pytest.mark.parametrize(
    ("task", "array", "fault", "advice"),
    [
        (
            "semseg",
            np.full(SIZE, 4),
            "class numbers 4",
            "Predictions count the classes of 'semseg' from 0, in their",
        ),
        (
            "semseg",
            np.full((4, *SIZE), -4.0),
            "these are -4 to -4",
            "Apply the softmax or sigmoid first; divide 8-bit",
        ),
        ("edges", np.full(SIZE, np.nan), "192 numbers are NaN or infinite", ""),
    ],
)
def test_refused_predictions_come_with_advice_for_predictions(
    made: Made, tmp_path: Path, task: str, array: np.ndarray, fault: str, advice: str
) -> None:
    put(tmp_path / f"out/{task}", made, array)
    with pytest.raises(LabelError, match=fault) as caught:
        score(made, tmp_path / "out")
    assert caught.value.next_step.startswith(advice) and caught.value.where.endswith(
        f"{task}/0000.npy"
    )
    if task == "semseg" and array.ndim == 2:
        (tmp_path / "out/semseg/0000.npy").unlink()
        cv2.imwrite(str(tmp_path / "out/semseg/0000.png"), array.astype(np.uint8))
        with pytest.raises(LabelError, match="without a class: 4") as caught:
            score(made, tmp_path / "out")
        assert caught.value.next_step.startswith(advice)
