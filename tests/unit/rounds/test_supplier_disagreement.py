"""True labels are bought where a trained network and a supplier disagree."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from labelgrid.basics.config import merge
from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds import fit, query, score
from labelgrid.rounds.round_scores import RoundScores, scoring_model, strategy_of
from labelgrid.select.strategy import Budget
from tests.rounds import QUICK, copied, labelled
from tests.support import Made

TRUST = {"suppliers": {"s": {"trust": 0.3}}}
CHOICE = PluginChoice("partal", {"statistic": "supplier_disagreement", "normalise": "each"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProjectFolder, Made]]:
    """A trained project with three whole images; a supplier with depth, thrice as far in one image."""
    folder = tmp_path_factory.mktemp("trained")
    project, made = labelled(folder, images=3, holdout=2)
    shutil.copytree(made.labels / "depth", folder / "given/depth")
    with project:
        wrong = missing_images(project)[1]
        path = folder / "given/depth" / f"{Path(wrong).stem}.png"
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        cv2.imwrite(str(path), pixels * 3)
        left_out = missing_images(project)[-1]
        (folder / "given/depth" / f"{Path(left_out).stem}.png").unlink()
        import_supplied(project, folder / "given", supplier="s")
        fit.fit(project, Silent(), changes=merge(QUICK, {"train": {"epochs": 2}}))
        changes: dict[str, Any] = merge(project.settings.changes, merge(QUICK, TRUST))
        project.settings = replace(project.settings, strategy=CHOICE, changes=changes)
        yield project, made


def missing_images(project: ProjectFolder) -> list[str]:
    labelled_ids = {row.cell.image_id for row in project.store.cells(state=State.LABELLED)}
    rows = project.store.images(("train",))
    return sorted(row.image_id for row in rows if row.image_id not in labelled_ids)


def like(trained: tuple[ProjectFolder, Made], folder: Path) -> ProjectFolder:
    other = copied(trained[0], folder / "flat")
    other.settings = trained[0].settings
    return other


def test_the_label_that_the_network_contradicts_is_bought_first(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    with like(trained, tmp_path) as project:
        wrong, left_out = missing_images(project)[1], missing_images(project)[-1]
        table = score.score(project, Silent())
        column = list(table.tasks).index("depth")
        values = dict(zip(table.images, table.statistics["supplier_disagreement"], strict=True))
        depth = {name: row[column] for name, row in values.items()}
        assert max(depth, key=lambda name: -1 if name == left_out else depth[name]) == wrong
        assert depth[left_out] != depth[left_out]  # NaN
        picks = query.query(project, Budget(1), Silent(), dry_run=True).picks
        everything = query.query(project, Budget(1000), Silent(), dry_run=True).picks
        cells = {(pick.cell.image_id, pick.cell.task): pick for pick in everything}
        ranked = [cell for cell in cells if cell[1] == "depth" and cell[0] != left_out]
        assert ranked[0] == (wrong, "depth") and len(picks) == 1
        assert "nothing is known of this cell" in cells[left_out, "depth"].why
        assert len(everything) == sum(row.eligible.sum() for row in [project.store.grid()])


def test_other_labels_of_the_supplier_make_scores_stale(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    with like(trained, tmp_path) as project:
        score.score(project, Silent())
        number = project.round_number
        _, strategy = strategy_of(project)
        model = scoring_model(project, strategy)
        assert model and RoundScores(project, model, strategy).fresh(number)
        import_supplied(project, trained[1].labels, supplier="s")
        with pytest.raises(ProjectError, match="the suppliers changed"):
            RoundScores(project, model, strategy).fresh(number)


def test_without_a_trusted_supplier_it_is_refused(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    with like(trained, tmp_path) as project:
        off = merge(project.settings.changes, {"suppliers": {"s": {"trust": 0.0}}})
        project.settings = replace(project.settings, changes=off)
        with pytest.raises(RecipeError, match=r"(?s)reads labels of suppliers.*suppliers.NAME"):
            score.score(project, Silent())
