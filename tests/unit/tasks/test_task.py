import re
from pathlib import Path

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import LabelError, PluginError, RecipeError
from labelgrid.basics.plugins import names
from labelgrid.formats.codec import Form, LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import TaskDef, build_all, definitions, spec_of

ROWS = (
    TaskRow("near", "depth", 2.0),
    TaskRow("parts", "semseg", 9.0, {"classes": ["head", "torso"]}),
)


def test_definitions_come_by_name_in_the_ledgers_order() -> None:
    tasks = definitions(ROWS)
    assert list(tasks) == ["near", "parts"]
    assert list(build_all(tasks)) == ["near", "parts"]
    assert build_all(tasks)["parts"].channels == 2


def test_an_unknown_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(PluginError, match="There is no kind of task 'dept'") as refused:
        TaskDef.of(TaskRow("depth", "dept", 1.0))
    assert "Did you mean 'depth'?" in str(refused.value)


def test_an_unknown_option_is_refused_with_its_task_and_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match="did you mean 'scale'") as refused:
        TaskDef.of(TaskRow("near", "depth", 1.0, {"scal": 0.1}))
    assert "task 'near'" in str(refused.value)


def test_a_kind_of_ones_own_is_reached_by_module_and_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "depth_of_a_test.py").write_text(
        "from labelgrid.tasks.kinds.depth import SPEC, build\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LABELGRID_TRUST", "depth_of_a_test")
    assert spec_of("depth_of_a_test:build") == spec_of("depth")


def test_what_label_files_hold_is_one_line_that_ends_and_a_line_a_class() -> None:
    tasks = definitions(
        [*ROWS, *(TaskRow(kind, kind, 1.0) for kind in names("kinds") if kind != "semseg")]
    )
    for task in tasks.values():
        first, *classes = task.describe().splitlines()
        assert first.endswith(".")
        assert [line.split()[-1] for line in classes] == list(getattr(task.options, "classes", ()))


def test_a_definition_reads_what_it_writes(tmp_path: Path) -> None:
    task = definitions(ROWS)["parts"]
    label = LabelArray(np.array([[[0], [1]]]), np.array([[True, False]]))
    task.write(tmp_path / "a.png", label)
    read = task.read(tmp_path / "a.png")
    assert read.valid.tolist() == [[True, False]]
    assert read.value[0, 0, 0] == 0


def test_a_loss_is_a_mean_over_an_images_valid_pixels() -> None:
    task = definitions(ROWS)["near"].build()
    target = Target(
        torch.tensor([[[[3.0, 9.0]]], [[[1.0, 1.0]]]]),
        torch.tensor([[[[True, False]]], [[[False] * 2]]]),
    )
    assert task.loss(torch.ones(2, 1, 1, 2), target).tolist() == [2, 0]


def test_uncertainty_is_that_of_all_samples_at_once() -> None:
    task = definitions(ROWS)["parts"].build()
    certain = torch.eye(2).view(2, 1, 2, 1, 1)
    torch.testing.assert_close(task.uncertainty(certain), torch.full((1, 1, 1, 1), 2.0).log())


@pytest.mark.parametrize("kind", ["semseg", "saliency", "edges", "depth", "normals"])
def test_labels_with_a_stride_stand_for_blocks_of_pixels(tmp_path: Path, kind: str) -> None:
    options = {"classes": ["a", "b"]} if kind == "semseg" else {}
    plain, coarse = (
        TaskDef.of(TaskRow("t", kind, 1.0, {**options, **more})) for more in ({}, {"stride": 3})
    )
    value = np.ones((2, 4, 1), np.int64 if kind == "semseg" else np.float32)
    value[0] = 0 if kind != "depth" else 2
    if kind == "normals":
        value = np.concatenate([value, 0 * value, 1 - value], 2)
    label = LabelArray(value, np.ones((2, 4), bool))
    plain.write(tmp_path / "a.png", label)
    seen = coarse.read(tmp_path / "a.png")
    assert seen.size == (6, 12)
    np.testing.assert_allclose(seen.value, np.kron(value, np.ones((3, 3, 1))), atol=1e-4)
    coarse.write(tmp_path / "b.png", seen)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert "Its sides are 1/3 of the image's." in coarse.describe().splitlines()[0]
    with pytest.raises(
        LabelError, match="2x4, which the stride of the task's labels, 3, does not divide"
    ):
        coarse.write(tmp_path / "c.png", label)
    with pytest.raises(RecipeError, match="stride must be from 1 to 64; it is 0"):
        TaskDef.of(TaskRow("t", kind, 1.0, {**options, "stride": 0}))


def test_a_label_is_downsampled_to_the_middle_of_its_blocks() -> None:
    values = np.arange(36, dtype=np.float32).reshape(6, 6, 1)
    small = Form(stride=3).downsample(LabelArray(values, values[..., 0] != 7))
    assert small.value[..., 0].tolist() == [[7, 10], [25, 28]]
    assert small.valid.tolist() == [[False, True], [True, True]]


def test_a_task_may_choose_its_metrics_options() -> None:
    classes = {"classes": ["head", "torso", "leg"]}
    plain = TaskDef.of(TaskRow("parts", "semseg", 1.0, classes)).build()
    strict = TaskDef.of(
        TaskRow("parts", "semseg", 1.0, {**classes, "metrics": {"mIoU": {"absent": "zero"}}})
    ).build()
    target = Target(
        torch.zeros(1, 1, 1, 2, dtype=torch.int64), torch.ones(1, 1, 1, 2, dtype=torch.bool)
    )
    figures = []
    for task in (plain, strict):
        metric = task.metric()
        metric.update(task.as_prediction(target.value), target)
        figures.append(metric.compute()["mIoU"].value)
    assert figures == [100, pytest.approx(100 / 3)]


def test_a_recipe_may_choose_another_loss_of_the_kind() -> None:
    rows = [TaskRow("facing", "normals", 1.0), TaskRow("depth", "depth", 1.0)]
    plain, cosine = build_all(definitions(rows)), build_all(definitions(rows), {"facing": "cosine"})
    raw = torch.tensor([3.0, 0.0, 4.0]).view(1, 3, 1, 1)
    target = Target(
        torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1), torch.ones(1, 1, 1, 1, dtype=torch.bool)
    )
    assert plain["facing"].loss(raw, target).item() == pytest.approx((0.6 + 0.2) / 3)
    assert cosine["facing"].loss(raw, target).item() == pytest.approx(1 - 0.8)
    assert plain["depth"].pixel_loss == cosine["depth"].pixel_loss


@pytest.mark.parametrize(
    ("losses", "fault"),
    [
        (
            {"normals": "cosine"},
            "'normals', which is not a task(.|\n)*The tasks are: facing, depth",
        ),
        ({"facing": "cosin"}, "'cosin' for 'facing'(.|\n)*besides the default: 'cosine'"),
        ({"depth": "cosine"}, "'cosine' for 'depth'(.|\n)*besides the default: none"),
    ],
)
def test_a_loss_that_the_kind_has_not_is_refused(losses: dict[str, str], fault: str) -> None:
    rows = [TaskRow("facing", "normals", 1.0), TaskRow("depth", "depth", 1.0)]
    with pytest.raises(RecipeError, match=fault):
        build_all(definitions(rows), losses)


@pytest.mark.parametrize(
    ("metrics", "fault"),
    [
        ({"mIou": {}}, r"'mIoU' among them.*The kind has: mIoU"),
        ({"mIoU": {}, "odsF": {}}, "The kind has: mIoU"),
        ({}, "'mIoU' among them"),
        ("mIoU", "it is a table"),
        ({"mIoU": {"absnt": "zero"}}, "did you mean 'absent'"),
        ({"mIoU": {"absent": "never"}}, "absent"),
    ],
)
def test_metrics_that_the_kind_has_not_are_refused(metrics: object, fault: str) -> None:
    with pytest.raises(RecipeError, match="task 'parts'") as refused:
        TaskDef.of(
            TaskRow("parts", "semseg", 1.0, {"classes": ["head", "torso"], "metrics": metrics})
        )
    assert re.search(fault, str(refused.value), re.DOTALL)


@pytest.mark.parametrize("kind", names("kinds"))
def test_every_figure_of_a_kind_can_be_a_task_s_headline(kind):
    options = {"classes": ["a", "b"]} if kind == "semseg" else {}
    spec = spec_of(kind)
    for headline, needed in [*((name, name) for name in spec.metrics), *spec.other_figures.items()]:
        task = TaskDef.of(TaskRow("it", kind, 1.0, {**options, "headline": headline}))
        assert task.headline == headline and list(task.metrics) == [needed]
        built = task.build()
        assert built.headline == headline and headline in figures_of(built)
    assert set(spec.metrics) | set(spec.other_figures) == figures_of(
        TaskDef.of(
            TaskRow("it", kind, 1.0, {**options, "metrics": {name: {} for name in spec.metrics}})
        ).build()
    )


def figures_of(task):
    size = (1, task.label_channels, 8, 8)
    metric = task.metric()
    value = torch.zeros(size, dtype=torch.int64) if task.kind == "semseg" else torch.ones(size)
    target = Target(value, torch.ones(1, 1, 8, 8, dtype=torch.bool))
    metric.update(torch.rand(1, task.channels, 8, 8), target)
    metric.end_image()
    return set(metric.compute())


def test_a_headline_that_is_no_figure_or_whose_metric_is_not_measured_is_refused():
    with pytest.raises(
        RecipeError, match=r"(?s)headline is 'F1', which is no figure.*AP, odsF, oisF"
    ):
        TaskDef.of(TaskRow("edges", "edges", 1.0, {"headline": "F1"}))
    with pytest.raises(RecipeError, match="'odsF' among them"):
        TaskDef.of(TaskRow("edges", "edges", 1.0, {"headline": "oisF", "metrics": {"AP": {}}}))
    with pytest.raises(RecipeError, match="headline is 3"):
        TaskDef.of(TaskRow("edges", "edges", 1.0, {"headline": 3}))
