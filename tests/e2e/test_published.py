"""The recipes of published settings run on made data sets of their layouts, at a sixteenth of their images' sides.

Each starts, trains for two steps, is evaluated on the layout's own split and stops; all else is as
published, but that a network which two recipes share is narrow in the second one. Of the recipes of
tables every arm does so, with small networks.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.lab.simulation import study_results as results
from labelgrid.lab.simulation.analyse import analyse
from labelgrid.lab.simulation.study_recipe import study_of
from labelgrid.recipes.resolve import load_recipe, recipe_files
from tests import published
from tests.e2e.commands import done, refused

SHORT = """
[backbone]
pretrained = false
[train]
steps = 2
batch = 2
workers = 0
device = "cpu"
[data]
size = [{}, {}]
[simulate]
initial = 2
budget = 5
rounds = {}
seeds = 1
single = false
"""
ONE_ARM = 'strategies = ["{}"]\nfull = false\n'


#: The recipes with a network that is as wide as published in another one here.
NARROW = {
    "partal-pascal": "[network.options]\nwidth = 32\n",
    "mtpsl-cityscapes": "[network.options]\nwidth = 8\n",
    "jtr-released": "[network.options]\nwidth = 8\n",
    "cityscapes": "[network.options]\nwidth = 8\n",
    "jtr-cityscapes": "[network.options]\nwidth = 8\n[terms.jtr]\nwidth = 8\n",
}
#: Recipe, its data set, the layout, an arm, rounds, and metrics that must be measured.
CASES: list[tuple[str, Callable[[Path], None], str, str, int, str]] = [
    ("partal-nyud", published.nyud, "nyud", "partal", 1, "semseg/mIoU depth/RMSE normals/mErr"),
    (
        "partal-pascal",
        published.pascal,
        "pascal",
        "partal",
        1,
        "parts/mIoU edges/odsF saliency/IoU normals/mErr",
    ),
    ("mtpsl-pascal", published.pascal, "pascal", "mtpsl", 0, "semseg/mIoU parts/mIoU edges/odsF"),
    (
        "mtpsl-released",
        published.mtan_nyuv2,
        "mtan_npy",
        "one-label",
        0,
        "semseg/mIoU depth/absErr normals/mErr",
    ),
    (
        "mtpsl-cityscapes",
        published.mtan_cityscapes,
        "mtan_npy",
        "one-label",
        0,
        "semseg/mIoU depth/absErr",
    ),
    (
        "jtr-released",
        published.mtan_nyuv2,
        "mtan_npy",
        "one-label",
        0,
        "semseg/mIoU depth/absErr normals/mErr",
    ),
    (
        "jtr-cityscapes",
        published.mtan_cityscapes,
        "mtan_npy",
        "one-label",
        0,
        "semseg/mIoU depth/absErr",
    ),
    ("cityscapes", published.cityscapes, "cityscapes", "one-label", 0, "semseg/mIoU depth/absErr"),
]


def short(recipe: str, rounds: int) -> str:
    """The shortened form of a recipe."""
    height, width = load_recipe(recipe).data.size
    return f'extends = "{recipe}"\n' + SHORT.format(height // 16, width // 16, rounds)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_published_recipe_starts_trains_measures_and_stops(
    tmp_path: Path, case: tuple[str, Callable[[Path], None], str, str, int, str]
) -> None:
    recipe, write, layout, arm, rounds, measured = case
    write(tmp_path / "data")
    said = done("data", "check", layout, tmp_path / "data").out
    assert "Read 8 of 8 images" in said
    (tmp_path / "short.toml").write_text(
        short(recipe, rounds) + ONE_ARM.format(arm) + NARROW.get(recipe, "")
    )
    done(
        "simulate",
        tmp_path / "short.toml",
        "--data",
        tmp_path / "data",
        "--out",
        tmp_path / "out",
        "--jobs",
        1,
    )
    records = [
        record for record in results.read_outcomes(tmp_path / "out") if record.strategy == arm
    ]
    assert {f"{record.task}/{record.metric}" for record in records} >= set(measured.split())
    assert len({record.round for record in records}) == rounds + 1


#: Small networks, and short trainings of what TCD learns.
SMALL = """
[backbone]
name = "test_efficientnet"
pretrained = false
[network.options]
width = 8
[score.committee]
epochs = 1
[score.embedding]
epochs = 1
width = 8
"""
SMALL_SEGNET = """
[network.options]
width = 8
[terms.mtpsl]
mapping = "light"
"""
#: Small networks of the arms that have others: maps between tasks are whole networks.
SMALL_ARM = "[simulate.arms.{}.changes.{}]\nwidth = 4\n"
LIGHT_ARM = '[simulate.arms.{}.changes.terms.{}]\nmapping = "light"\n'
SMALL_PASCAL = "".join(
    [SMALL, *(LIGHT_ARM.format(arm, "mtpsl") for arm in ("mtpsl", "random-mtpsl"))]
)
SMALL_NYUV2 = [
    ("full-mtan", "network.options"),
    ("full-x-task", "terms.x_task"),
    ("random-perceptual", "terms.perceptual_map"),
    ("random-direct", "terms.direct_map"),
    ("one-perceptual", "terms.perceptual_map"),
    ("one-direct", "terms.direct_map"),
]
SMALL_CITYSCAPES = [
    (f"{labels}-{name}", f"terms.{name}_map")
    for labels in ("one", "9-1", "1-9")
    for name in ("perceptual", "direct")
]


def small_segnet(arms: list[tuple[str, str]]) -> str:
    """The changes that make SegNet small, and the other networks of some arms."""
    light = [LIGHT_ARM.format(f"one-{term}", term) for term in ("contrastive", "discriminator")]
    return SMALL_SEGNET + "".join([*light, *(SMALL_ARM.format(arm, table) for arm, table in arms)])


#: Figure 9's larger start is a larger part of the five images here, too.
SMALL_PICKS = SMALL + "".join(
    f"[simulate.arms.{arm}-300.initial]\nimages = 3\n"
    for arm in ("partal", "random_images", "rbal", "core_set", "learning_loss")
)
#: The analyses of the figures that show more than metrics, and their options, by recipe.
ANALYSES: dict[str, list[tuple[str, dict[str, object]]]] = {
    "partal-nyud-picks": [("picks", {})],
    "partal-nyud-known": [("research.analyses.known:build", {"over": "images"})],
    "partal-pascal-known": [
        (
            "research.analyses.known_frames:build",
            {"task": "semseg", "feed": ["saliency", "normals", "edges"], "images": 1},
        )
    ],
    "mtpsl-tables-nyuv2": [
        ("research.analyses.joint_maps:build", {"images": 2}),
        ("research.analyses.frames:build", {"images": 1}),
    ],
}
#: Recipe of a table or of figures, its data set, rounds, small networks, and the metrics of its tasks.
TABLES: list[tuple[str, Callable[[Path], None], int, str, str]] = [
    ("partal-nyud", published.nyud, 1, SMALL, "mIoU RMSE mErr"),
    ("partal-pascal", published.pascal, 1, SMALL, "mIoU odsF IoU mErr"),
    ("tcd-nyud", published.nyud, 1, SMALL, "mIoU RMSE mErr"),
    ("tcd-pascal", published.pascal, 1, SMALL, "mIoU odsF IoU mErr"),
    # MTI-Net alone is new to it.
    (
        "tcd-pascal-mti",
        published.pascal,
        1,
        SMALL + "[simulate]\n" + ONE_ARM.format("tcd"),
        "mIoU odsF IoU mErr",
    ),
    ("partal-nyud-picks", published.nyud, 1, SMALL_PICKS, "mIoU RMSE mErr"),
    ("partal-nyud-known", published.nyud, 0, SMALL, "mIoU RMSE mErr"),
    ("partal-pascal-known", published.pascal, 0, SMALL, "mIoU odsF IoU mErr"),
    ("tcd-nyud-ablations", published.nyud, 1, SMALL, "mIoU RMSE mErr"),
    ("mtpsl-options-nyuv2", published.mtan_nyuv2, 0, SMALL_SEGNET, "mIoU absErr mErr"),
    ("mtpsl-pascal", published.pascal, 0, SMALL_PASCAL, "mIoU odsF IoU mErr"),
    ("mtpsl-tables-nyuv2", published.mtan_nyuv2, 0, small_segnet(SMALL_NYUV2), "mIoU absErr mErr"),
    (
        "mtpsl-tables-cityscapes",
        published.mtan_cityscapes,
        0,
        small_segnet(SMALL_CITYSCAPES),
        "mIoU absErr",
    ),
]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table[0])
def test_every_arm_of_a_table_is_planned_starts_trains_measures_and_stops(
    tmp_path: Path,
    table: tuple[str, Callable[[Path], None], int, str, str],
) -> None:
    recipe, write, rounds, small, measured = table
    write(tmp_path / "data")
    (tmp_path / "short.toml").write_text(short(recipe, rounds))
    (tmp_path / "small.toml").write_text(f'extends = "{tmp_path / "short.toml"}"\n' + small)
    words = (
        "simulate",
        tmp_path / "small.toml",
        "--data",
        tmp_path / "data",
        "--out",
        tmp_path / "out",
    )
    study = study_of(str(tmp_path / "small.toml"))
    arms = {*study.strategies, *["full"][: study.full]}

    planned = done(*words, "--dry-run").out
    assert [arm for arm in arms if f" {arm} " not in planned] == []
    assert not (tmp_path / "out").exists()

    done(*words, "--jobs", 1)
    records = results.read_outcomes(tmp_path / "out")
    for arm in arms:
        own = [record for record in records if record.strategy == arm]
        assert {record.metric for record in own} >= set(measured.split())
        assert len({record.round for record in own}) == (1 if arm == "full" else rounds + 1)
    for name, options in ANALYSES.get(recipe, []):
        assert analyse(tmp_path / "out", name, tmp_path / name[-9:], options).findings


def test_every_recipe_is_planned_without_the_weights_that_it_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    layouts = {"nyud": published.nyud, "pascal": published.pascal}
    for layout, write in layouts.items():
        write(tmp_path / layout)
    planned = [name for name in recipe_files() if published_layout(name) in layouts]
    assert len(planned) >= 11
    for name in planned:
        data = tmp_path / published_layout(name)
        words = ("simulate", name, "--data", data, "--out", tmp_path / "out", "--dry-run")
        said = done(*words).out
        assert "steps at most" in said and "cannot run yet: The ImageNet weights of" in said
    assert "ImageNet weights" in json.loads(done(*words, "--json").out)["missing"]
    assert "ImageNet weights" in refused(tmp_path, *words[:-1])


def published_layout(recipe: str) -> str:
    """The layout of a published recipe's data set; "" for other recipes."""
    is_published = recipe_files()[recipe].parent.name == "published"
    return study_of(recipe).data if is_published else ""
