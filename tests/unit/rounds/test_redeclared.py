"""Laws of models after a task was redeclared: they and their scores are refused until the next training."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import ModelError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.operations.status import status_of
from labelgrid.operations.task_change import TaskChange, change_task, drop_task
from labelgrid.project.records import newest_fit, read_measurement
from labelgrid.rounds import evaluate, fit, query, score
from labelgrid.select.strategy import Budget
from tests.projects import Said
from tests.rounds import QUICK, labelled


def test_models_and_scores_of_an_old_declaration_are_refused_until_the_next_fit(
    tmp_path: Path,
) -> None:
    project, _ = labelled(tmp_path)
    first = fit.fit(project, Silent(), changes=QUICK)
    score.score(project, Silent())
    change_task(project, "depth", TaskChange({"cost": 9}), Silent())
    assert query.query(project, Budget(2), Silent(), dry_run=True).picks
    change_task(project, "semseg", TaskChange({}, merge={"box": "ball"}), Silent())
    with pytest.raises(ProjectError, match=r"The scores are stale: the pool changed.*"):
        query.query(project, Budget(2), Silent(), dry_run=True)
    for refused in (
        score.score,
        lambda *given: evaluate.evaluate_split(given[0], "heldout", given[1]),
    ):
        with pytest.raises(
            ModelError, match="The declaration of 'semseg' changed since the training of round 2"
        ) as caught:
            refused(project, Silent())
        assert caught.value.next_step == f"Run `labelgrid fit {project.folder}` to train with it."
    assert status_of(project)["next"] == f"labelgrid fit {project.folder}"
    again = fit.fit(project, Silent(), changes=QUICK)
    assert again.model != first.model and newest_fit(project.folder) == again
    score.score(project, Silent())
    assert query.query(project, Budget(2), Silent(), dry_run=True).picks
    project.close()


def test_a_query_goes_on_without_previews_if_the_model_is_stale(tmp_path: Path) -> None:
    project, _ = labelled(tmp_path)
    fit.fit(project, Silent(), changes=QUICK)
    first = query.query(project, Budget(2), Silent(), strategy="random_cells", prelabels=False)
    change_task(project, "semseg", TaskChange({}, merge={"box": "ball"}), Silent())
    for new in (False, True):
        said = Said()
        asked = query.query(project, Budget(2), said, strategy="random_cells", new=new)
        assert asked.repeated is not new and asked.round == first.round + new
        line = "No previews are written: The declaration of 'semseg' changed since the training of round 2."
        assert (
            said.lines[-1] == line
            and not (project.round_folder(asked.round) / "prelabels").exists()
        )
    project.close()


def test_a_fit_counts_what_a_dropped_task_has_cost(tmp_path: Path) -> None:
    project, _ = labelled(tmp_path)
    spent = sum(count.spent for count in project.store.counts(("train", "val")).values())
    drop_task(project, "normals")
    assert spent > 0 and fit.fit(project, Silent(), changes=QUICK).spent == spent
    project.close()


def test_figures_of_another_declaration_are_no_change(tmp_path: Path) -> None:
    project, _ = labelled(tmp_path)
    sets = []
    for scale in (None, 0.01):
        if scale:
            change_task(project, "depth", TaskChange({"scale": scale}), Silent())
        done = fit.fit(project, Silent(), changes=QUICK)
        measured = read_measurement(project.round_folder(done.round))
        assert measured is not None and measured.heldout_set
        sets.append(measured.heldout_set)
    assert sets[0] != sets[1]
    project.close()
