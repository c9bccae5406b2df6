"""Frozen encoders in a project: maps are computed once, and no result depends on what is kept."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelgrid.advice.round_times import round_times
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.data.project_source import ProjectSource
from labelgrid.exporting.export_model import export_model
from labelgrid.nets.backbones import Encoder
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import fit, score
from tests.projects import Said
from tests.rounds import QUICK, copied, fit_killed, labelled

FROZEN = {"train": "frozen", "pretrained": False, "name": "test_efficientnet"}


def changes(kept: float = 20.0, **data: Any) -> dict[str, Any]:
    return {
        **QUICK,
        "train": {"epochs": 4, "batch": 2},
        "backbone": {**FROZEN, "kept": kept},
        "data": {"kept_views": 2, **data},
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    project, _ = labelled(tmp_path_factory.mktemp("made"), n=8, tasks=("depth", "semseg"))
    with project:
        yield project


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes each image that an encoder's module sees."""
    seen: list[int] = []
    plain = Encoder._given_maps

    def noting(encoder: Encoder, image: Any) -> Any:
        seen.append(len(image))
        return plain(encoder, image)

    monkeypatch.setattr(Encoder, "_given_maps", noting)
    return seen


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each image of a project that is decoded."""
    seen: list[str] = []
    plain = ProjectSource.image

    def noting(source: ProjectSource, image_id: str) -> Any:
        seen.append(image_id)
        return plain(source, image_id)

    monkeypatch.setattr(ProjectSource, "image", noting)
    return seen


def test_trainings_and_scores_are_the_same_with_kept_maps_and_each_map_is_computed_once(
    made: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    with copied(made, tmp_path / "none") as none:
        without = fit.fit(none, Silent(), changes=changes(kept=0))
        scores = score.score(none, Silent(), "partal").statistics
        assert not none.features.exists()
    each_time = len(seen)
    seen.clear()
    with copied(made, tmp_path / "kept") as kept:
        assert fit_killed(kept, changes(), step=5).model == without.model
        again = score.score(kept, Silent(), "partal").statistics
        files = [path for path in kept.features.rglob("*") if path.is_file()]
        maps = [path for path in files if b'"F16"' in path.read_bytes()]
        # Every image in two views at most, and what the size of the input is tried with.
        assert len(seen) == len(maps) <= 2 * 8 + 1 < each_time
        assert len(files) - len(maps) <= 2 * 8
        seen.clear()
        shutil.rmtree(kept.round_folder(without.round))
        assert fit.fit(kept, Silent(), changes=changes()).model == without.model
        assert not seen
    assert scores.keys() == again.keys()
    for name, values in scores.items():
        assert np.array_equal(values, again[name], equal_nan=True), name


def test_no_image_is_decoded_again_in_later_rounds(
    made: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copied(made, tmp_path / "kept") as project:
        project.settings = replace(project.settings, changes=changes())
        fit.fit(project, Silent(), changes={"train": {"epochs": 12, "cache": 0.0}})
        score.score(project, Silent(), "partal")
        seen = decoded(monkeypatch)
        fit.fit(project, Silent(), changes={"train": {"epochs": 12, "cache": 0.0, "clip": 9.0}})
        assert not seen


def test_a_training_says_what_its_maps_take_and_why_views_that_change_are_not_kept(
    made: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    with copied(made, tmp_path / "kept") as project:
        said = Said()
        fit.fit(project, said, changes=changes(kept_views=3))
        assert "its maps of 5 training images in 3 views take" in " ".join(said.lines)
        seen.clear()
        said = Said()
        fit.fit(project, said, changes=changes(kept_views=0, zoom=[1.0, 1.2]))
        assert "`kept_views = 8`" in " ".join(said.lines) and len(seen) > 10
        said = Said()
        fit.fit(project, said, changes={**changes(), "terms": {"learning_loss": {}}})
        assert "maps are computed each time" in " ".join(said.lines)


def test_an_encoder_of_its_own_is_not_frozen_by_any_way_in(made: ProjectFolder) -> None:
    wrong = {**changes(), "network": {"name": "segnet", "options": {"width": 8}}}
    with pytest.raises(RecipeError, match="encoder of its own"):
        fit.fit(made, Silent(), changes=wrong)


def test_forecasts_and_exports_keep_no_maps(made: ProjectFolder, tmp_path: Path) -> None:
    with copied(made, tmp_path / "kept") as project:
        project.settings = replace(project.settings, changes=changes())
        fit.fit(project, Silent())
        before = sorted(project.features.rglob("*"))
        round_times(project, Silent(), own_recipe=True)
        export_model(project, tmp_path / "model.onnx", [], Silent())
        assert sorted(project.features.rglob("*")) == before
