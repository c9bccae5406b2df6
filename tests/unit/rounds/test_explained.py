"""What a query writes to explain its picks, and that it changes nothing else."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Pick, State
from labelgrid.operations.export import export
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_picks
from labelgrid.recipes.resolve import hash_of, resolved_options
from labelgrid.rounds import fit, models, query, score
from labelgrid.score.table import EXPLAINING
from labelgrid.score.table_files import read_table, write_table
from labelgrid.select.strategy import Budget
from tests.projects import Said
from tests.rounds import copied, labelled

TASKS = ("depth", "normals")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project with three whole images labelled."""
    project, _ = labelled(tmp_path_factory.mktemp("prepared"), images=3, n=10, tasks=TASKS)
    with project:
        fit.fit(project, Silent())
    return project.folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Iterator[ProjectFolder]:
    shutil.copytree(prepared, tmp_path / "flat")
    with ProjectFolder.open(tmp_path / "flat") as opened:
        yield opened


def explaining(project: ProjectFolder) -> Path:
    return project.round_folder(2) / "scores" / EXPLAINING


def asked(project: ProjectFolder, explain: bool | None = None, **options: object) -> list[Pick]:
    """The picks of round 2."""
    project.settings = replace(project.settings, explain=explain)
    query.query(project, Budget(6), options.pop("progress", Silent()), prelabels=False, **options)  # type: ignore[arg-type]
    return read_picks(project.round_folder(2))


def test_features_that_explain_change_no_score_and_no_pick(
    project: ProjectFolder, tmp_path: Path
) -> None:
    with copied(project, tmp_path / "plain" / "flat") as plain:
        without = asked(plain, explain=False)
        assert not explaining(plain).exists() and not any(
            pick.explanation.nearest for pick in without
        )
        scores = (plain.round_folder(2) / "scores" / "scores.parquet").read_bytes()
    found = asked(project)
    assert (project.round_folder(2) / "scores" / "scores.parquet").read_bytes() == scores
    nothing = {"nearest": "", "distance": None}
    assert [
        replace(pick, explanation=replace(pick.explanation, **nothing)) for pick in found
    ] == without
    assert all(pick.explanation.nearest and pick.explanation.quantiles for pick in found)


def test_the_nearest_is_the_nearest_of_all_images_with_a_label_of_the_task(
    project: ProjectFolder,
) -> None:
    found, grid = asked(project), project.store.grid()
    features = read_table(explaining(project)).aligned(grid.images)["features"].astype(np.float64)
    complete = np.all(grid.state == State.LABELLED, axis=1)
    assert complete.sum() == 3 and np.isfinite(features).all()  # also of images that are in no pool
    for pick in found:
        of = np.flatnonzero(grid.state[:, list(grid.tasks).index(pick.cell.task)] == State.LABELLED)
        distances = np.linalg.norm(
            features[of] - features[list(grid.images).index(pick.cell.image_id)], axis=1
        )
        assert pick.explanation.nearest == grid.images[of[distances.argmin()]]
        assert pick.explanation.distance == pytest.approx(distances.min())
    (folder,) = export(project).folders
    rows = json.loads((folder / "manifest.json").read_text())
    assert [row["explanation"]["nearest"] for row in rows] == [
        pick.explanation.nearest for pick in found
    ]
    assert [row["terms"] for row in rows] == [pick.terms for pick in found]
    said = Said()
    (project.round_folder(2) / "picks.json").write_text("[")
    export(project, progress=said)
    assert any("The requests of round 2 are not explained." in line for line in said.lines)
    assert "explanation" not in json.loads((folder / "manifest.json").read_text())[0]


def test_scores_of_before_explain_less_and_are_not_computed_again(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    score.score(project, Silent())
    explaining(project).unlink()
    monkeypatch.setattr(models, "load", None)  # no model is restored
    found = asked(project)
    assert all(pick.explanation.quantiles and not pick.explanation.nearest for pick in found)


def test_features_that_cannot_be_read_do_not_stop_a_query(project: ProjectFolder) -> None:
    score.score(project, Silent())
    explaining(project).write_bytes(b"damaged")
    said = Said()
    assert len(asked(project, progress=said)) == 6
    assert any(
        "not explained by the nearest labelled images. The score table cannot be read" in x
        for x in said.lines
    )


def test_features_of_other_options_do_not_explain(project: ProjectFolder) -> None:
    score.score(project, Silent())
    project.settings = replace(
        project.settings, changes={"score": {"features": {"map": "deepest"}}}
    )
    assert not any(pick.explanation.nearest for pick in asked(project))


def test_a_strategy_that_needs_no_scores_is_not_scored_for_and_one_that_reads_features_always_explains(
    project: ProjectFolder, tmp_path: Path
) -> None:
    with copied(project, tmp_path / "drawn" / "flat") as drawn:
        assert not any(pick.explanation.nearest for pick in asked(drawn, strategy="random_cells"))
        assert not (drawn.round_folder(2) / "scores").exists()
    found = asked(project, explain=False, strategy="core_set")
    assert all(pick.explanation.nearest for pick in found) and not explaining(project).exists()


def test_features_that_an_earlier_version_kept_without_classes_still_explain(
    tmp_path: Path,
) -> None:
    """Earlier versions kept features alone, under a stamp of their options alone."""
    project, _ = labelled(tmp_path, images=3, n=8, tasks=("semseg", "depth"))
    with project:
        fit.fit(project, Silent())
        table = score.score(project, Silent())
        path = explaining(project)
        kept = read_table(path)
        assert set(kept.statistics) == {"features", "classes"}
        earlier = {"explaining": hash_of(resolved_options("statistics", {"features"}, {}))}
        write_table(kept.only({"features"}, {**table.stamp, **earlier}), path)
        found = asked(project)
    assert all(pick.explanation.nearest for pick in found)
