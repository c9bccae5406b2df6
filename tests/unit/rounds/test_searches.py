"""A query that searches: for a class, by what the model predicts, or for images like an example."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from labelgrid.basics.errors import (
    ImageError,
    LabelgridError,
    NothingToBuyError,
    ProjectError,
    UsageError,
)
from labelgrid.basics.progress import Silent
from labelgrid.cli import app
from labelgrid.ledger.grid import State, TaskRow
from labelgrid.operations.cancel import unlabel
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.operations.undo import undo
from labelgrid.project.folder import ProjectFolder
from labelgrid.relations.bound import bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.rounds import fit, pool_scorer, query, score
from labelgrid.rounds.query import QueryResult
from labelgrid.rounds.searches import find_class
from labelgrid.score.table import EXPLAINING, FILE
from labelgrid.score.table_files import read_table
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import definitions
from tests.projects import Said, make_project
from tests.rounds import Killed, labelled

COVERS = [
    "labelgrid.rounds.searches",
    "labelgrid.select.class_statistic",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project with four whole images labelled, of twelve that are not held out."""
    project, _ = labelled(tmp_path_factory.mktemp("trained"), images=4, n=14)
    with project:
        fit.fit(project, Silent())
    return project.folder


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[ProjectFolder]:
    shutil.copytree(trained, tmp_path / "flat")
    with ProjectFolder.open(tmp_path / "flat") as opened:
        yield opened


def predicted(project: ProjectFolder, table: Path) -> dict[str, dict[str, float]]:
    """The shares of the classes of each image, by the names of the classes."""
    found = read_table(table)
    names = project.tasks()["semseg"].class_names
    shares = found.statistics["classes"].reshape(len(found.images), len(found.tasks), -1)
    own = shares[:, found.tasks.index("semseg")].astype(float).tolist()
    return {
        image: dict(zip(names, row, strict=False))
        for image, row in zip(found.images, own, strict=True)
    }


def a_class(shares: dict[str, dict[str, float]]) -> str:
    """The class whose shares differ most between images."""
    names = next(iter(shares.values()))
    return max(names, key=lambda name: np.std([row[name] for row in shares.values()]))


def images(result: QueryResult) -> list[str]:
    return [pick.cell.image_id for pick in result.picks]


def first_image(project: ProjectFolder) -> str:
    return next(iter(project.store.images(("train",)))).image_id


def ask(project: ProjectFolder, count: float = 3, **options: object) -> QueryResult:
    progress = options.pop("progress", Silent())
    return query.query(project, Budget(count), progress, prelabels=False, **options)  # type: ignore[arg-type]


def best(project: ProjectFolder, shares: dict[str, dict[str, float]], name: str) -> list[float]:
    """The shares of a class in the images without a label of its task, the largest first."""
    missing = {row.image_id for row in project.store.images(("train",))}
    missing -= {row.cell.image_id for row in project.store.cells(task="semseg")}
    return sorted((shares[image][name] for image in missing), reverse=True)


# A class


def test_the_images_with_the_largest_predicted_share_are_asked_for_labels_of_its_task_alone(
    project: ProjectFolder,
) -> None:
    score.score(project, Silent(), "class_share")
    shares = predicted(project, project.round_folder(2) / "scores" / FILE)
    name = a_class(shares)
    expected = best(project, shares, name)[:3]
    found = ask(project, class_name=name)
    assert {pick.cell.task for pick in found.picks} == {"semseg"} and found.cost == 3
    assert [pick.score for pick in found.picks] == pytest.approx(expected)
    assert [shares[image][name] for image in images(found)] == pytest.approx(expected)
    assert found.strategy == "class_share"
    assert found.as_json()["class"] == f"semseg:{name}"
    assert {pick.why for pick in found.picks} == {f"largest predicted share of {name}"}
    assert project.store.history(found.picks[0].cell)[-1].move.why == found.picks[0].why


def test_other_tasks_can_be_named_and_a_budget_may_be_of_images_or_cost(
    project: ProjectFolder,
) -> None:
    score.score(project, Silent(), "class_share")
    name = a_class(predicted(project, project.round_folder(2) / "scores" / FILE))
    for unit in ("images", "cost"):
        budget = Budget(4, unit)  # type: ignore[arg-type]
        options = {"class_name": name, "dry_run": True, "prelabels": False}
        found = query.query(project, budget, Silent(), tasks=["semseg", "depth"], **options)  # type: ignore[arg-type]
        counts = len(set(images(found))), found.cost
        assert counts == ((4, 8) if unit == "images" else (2, 4))


def test_scores_for_another_strategy_keep_the_shares_and_are_left_as_they_are(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    score.score(project, Silent())
    folder = project.round_folder(2) / "scores"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shares = predicted(project, folder / EXPLAINING)
    monkeypatch.setattr(pool_scorer.PoolScorer, "scored", lambda *_: pytest.fail("scored again"))
    name = a_class(shares)
    found = ask(project, class_name=name, dry_run=True)
    assert [pick.score for pick in found.picks] == pytest.approx(best(project, shares, name)[:3])
    assert all(pick.explanation.nearest for pick in found.picks)
    assert {path: path.read_bytes() for path in before} == before
    assert ask(project).strategy == "partal"  # its scores are fresh


def test_a_search_scores_apart_from_the_round_and_again_when_the_pool_changed(
    project: ProjectFolder,
) -> None:
    first = ask(project, like=first_image(project), dry_run=True)
    assert not (project.round_folder(2) / "scores" / FILE).exists()
    assert ask(project, like=first_image(project), dry_run=True).picks == first.picks
    row = next(iter(project.store.cells(state=State.LABELLED, splits=("train",))))
    unlabel(project, [f"{row.cell.image_id}:{row.cell.task}"])
    found = ask(project, 100, like=first_image(project), dry_run=True)
    assert row.cell in {pick.cell for pick in found.picks}


def test_a_search_uses_what_another_one_scored(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = ask(project, like=first_image(project), dry_run=True)
    shutil.rmtree(project.round_folder(2) / "scores")
    ask(project, class_name=project.tasks()["semseg"].class_names[0], dry_run=True)
    monkeypatch.setattr(pool_scorer.PoolScorer, "scored", lambda *_: pytest.fail("scored again"))
    assert images(ask(project, like=first_image(project), dry_run=True)) == images(alone)


@pytest.mark.parametrize("strategy", ["partal", "core_set"])
def test_a_query_of_some_tasks_scores_the_images_that_lack_only_others(
    project: ProjectFolder, strategy: str
) -> None:
    """Else a query of all tasks would take them for images that cannot be read."""
    row = next(iter(project.store.cells(state=State.LABELLED, task="semseg")))
    unlabel(project, [f"{row.cell.image_id}:semseg"])
    ask(project, strategy=strategy, tasks=["depth"], dry_run=True)
    said = Said()
    ask(project, 100, strategy=strategy, dry_run=True, progress=said)
    assert not any("no scores" in line for line in said.lines)


def test_the_same_search_again_returns_its_picks_and_another_one_others(
    project: ProjectFolder,
) -> None:
    score.score(project, Silent(), "class_share")
    shares = predicted(project, project.round_folder(2) / "scores" / FILE)
    name = a_class(shares)
    first = ask(project, class_name=name)
    again = ask(project, class_name=f"semseg:{name}")
    assert again.repeated and images(again) == images(first)
    assert again.as_json()["class"] == f"semseg:{name}"
    like = ask(project, like=images(first)[0])
    assert not like.repeated and ask(project, like=images(first)[0]).repeated
    undo(project, Silent())
    undo(project, Silent())
    assert images(ask(project, class_name=name)) == images(first)


def test_a_search_that_is_killed_gives_the_same_picks(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ask(project, like=first_image(project), dry_run=True)
    shutil.rmtree(project.round_folder(2) / "scores")
    with monkeypatch.context() as patch:
        patch.setattr(query, "request_proposal", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            ask(project, like=first_image(project))
    assert images(ask(project, like=first_image(project))) == images(whole)


def test_picks_without_the_class_are_said(project: ProjectFolder) -> None:
    score.score(project, Silent(), "class_share")
    shares = predicted(project, project.round_folder(2) / "scores" / FILE)
    names = next(iter(shares.values()))
    counts = {name: sum(share > 0 for share in best(project, shares, name)) for name in names}
    name = min((name for name in names if counts[name]), key=lambda name: counts[name])
    total = len(best(project, shares, name))
    said = Said()
    ask(project, total, class_name=name, dry_run=True, progress=said)
    told = f"predicts 'semseg:{name}' in {counts[name]} of {total} picked images"
    assert any(told in line for line in said.lines) == (counts[name] < total)


def test_a_class_that_is_misspelt_is_refused_with_the_nearest_and_all_others(
    project: ProjectFolder,
) -> None:
    name = project.tasks()["semseg"].class_names[-1]
    before = list(project.store.events())
    with pytest.raises(UsageError) as refused:
        ask(project, class_name=name[:-1])
    assert f"No task has a class '{name[:-1]}'" in str(refused.value)
    assert f"Did you mean '{name}'?" in str(refused.value)
    assert "--like IMAGE" in str(refused.value)
    assert list(project.store.events()) == before


def test_a_class_of_several_tasks_is_named_with_its_task(project: ProjectFolder) -> None:
    tasks = dict(project.tasks())
    name = tasks["semseg"].class_names[0]
    tasks["parts"] = replace(tasks["semseg"], name="parts")
    with pytest.raises(UsageError, match=f"Name one: semseg:{name}, parts:{name}"):
        find_class(tasks, name)
    assert find_class(tasks, f"parts:{name}") == (tasks["parts"], name)


def test_a_class_that_no_label_shows_is_found_by_an_example(project: ProjectFolder) -> None:
    change_task(project, "semseg", TaskChange({}, ["dress"], {}, False), Silent())
    with pytest.raises(ProjectError) as refused:
        ask(project, class_name="dress")
    assert "No model can find 'semseg:dress' yet" in str(refused.value)
    assert "--like IMAGE --task semseg --budget N" in str(refused.value)


def test_a_class_that_the_model_predicts_nowhere_is_found_by_an_example(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    score.score(project, Silent(), "class_share")
    shares = predicted(project, project.round_folder(2) / "scores" / FILE)
    name = a_class(shares)
    monkeypatch.setattr(
        "labelgrid.rounds.searches.shares_of_class", lambda values, *_: np.zeros(len(values))
    )
    with pytest.raises(NothingToBuyError) as refused:
        ask(project, class_name=name)
    assert f"'semseg:{name}' in no image of the pool" in str(refused.value)
    assert "--like IMAGE" in str(refused.value)


def test_without_a_model_a_class_is_refused_and_an_example_is_not(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, n=8)
    with project:
        name = project.tasks()["semseg"].class_names[0]
        with pytest.raises(ProjectError, match="there is no model yet"):
            ask(project, class_name=name)
        image = next(iter(project.store.images(("heldout",)))).image_id
        found = ask(project, 3, like=image, tasks=["depth"])
        assert found.strategy == "like" and len(found.picks) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"class_name": "wall", "like": "000.jpg"},
        {"class_name": "wall", "strategy": "partal"},
        {"like": "000.jpg", "pairs": 2},
    ],
)
def test_what_excludes_a_search_is_refused(
    project: ProjectFolder, options: dict[str, object]
) -> None:
    with pytest.raises(LabelgridError):
        ask(project, **options)


# An example


def test_images_like_an_example_are_the_nearest_by_their_features(project: ProjectFolder) -> None:
    score.score(project, Silent(), "core_set")
    table = read_table(project.round_folder(2) / "scores" / FILE)
    vectors = table.statistics["features"].astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    example = table.images[5]
    cosine = dict(zip(table.images, (vectors @ vectors[5]).tolist(), strict=True))
    found = ask(project, 4, like=example, tasks=["depth"])
    missing = set(cosine) - {row.cell.image_id for row in project.store.cells(task="depth")}
    missing |= set(images(found))
    expected = sorted((cosine[image] for image in missing), reverse=True)[:4]
    assert [pick.score for pick in found.picks] == pytest.approx(expected, abs=1e-6)
    assert {pick.why for pick in found.picks} == {f"most like {example}"}


def test_what_follows_from_the_labels_changes_no_likeness(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    like = first_image(project)
    alone = ask(project, 6, like=like, dry_run=True)
    classes = TaskRow("semseg", "semseg", 1.0, {"classes": ["a", "b"]})
    tasks = definitions([classes, TaskRow("edges", "edges", 1.0, {})])
    edges = bind("semseg_edges", RelationChoice(trust=0.5), tasks)
    monkeypatch.setattr(ProjectFolder, "relations", lambda _: [replace(edges, gives="depth")])
    related = ask(project, 6, like=like, dry_run=True)
    assert [pick.score for pick in related.picks] == [pick.score for pick in alone.picks]


def test_a_file_of_the_same_content_picks_the_same_images(
    project: ProjectFolder, tmp_path: Path
) -> None:
    row = next(iter(project.store.images(("heldout",))))
    file = shutil.copy(Path(row.root) / row.image_id, tmp_path)
    by_id = ask(project, like=row.image_id, dry_run=True)
    by_file = ask(project, like=str(file), dry_run=True)
    assert images(by_file) == images(by_id)
    assert by_file.as_json()["like"] == str(file)


def test_an_example_that_is_no_image_is_refused(project: ProjectFolder, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="neither an image of the project nor a file"):
        ask(project, like="nothing.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError):
        ask(project, like=str(tmp_path / "text.png"))


def test_the_command_prints_what_was_searched_for(project: ProjectFolder) -> None:
    image = first_image(project)
    words = ["query", str(project.folder), "--like", image, "--budget", "3", "--dry-run"]
    printed = CliRunner().invoke(app, [*words, "--json"])
    values = json.loads(printed.stdout)
    assert (values["like"], values["class"], len(values["picks"])) == (image, "", 3)
    told = CliRunner().invoke(app, words).stdout
    assert f"most like {image}" in told
