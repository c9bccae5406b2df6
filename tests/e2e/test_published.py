"""The recipes of published settings run on made data sets of their layouts, at an eighth of their images' sides.

Each starts, trains for two steps, is evaluated on the layout's own split and stops; all else is as
published.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.recipes.resolve import load_recipe
from labelgrid.simulation import results
from tests import published
from tests.e2e.commands import done

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
full = false
single = false
strategies = ["{}"]
"""


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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_published_recipe_starts_trains_measures_and_stops(
    tmp_path: Path, case: tuple[str, Callable[[Path], None], str, str, int, str]
) -> None:
    recipe, write, layout, arm, rounds, measured = case
    write(tmp_path / "data")
    said = done("data", "check", layout, tmp_path / "data").out
    assert "Read 8 of 8 images" in said
    height, width = load_recipe(recipe).data.size
    text = f'extends = "{recipe}"\n' + SHORT.format(height // 8, width // 8, rounds, arm)
    (tmp_path / "short.toml").write_text(text)
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
