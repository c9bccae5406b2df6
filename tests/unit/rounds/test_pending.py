"""Laws of previews that a query was stopped before: the next query writes them, with the model of their round."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Silent
from labelgrid.operations.remove import remove
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit, read_picks
from labelgrid.rounds import fit, previews, query
from labelgrid.rounds.round_scores import RoundScores, strategy_of
from labelgrid.rounds.score import scorer_of
from labelgrid.select.strategy import Budget
from tests.projects import Said, answer
from tests.rounds import QUICK, labelled
from tests.support import Made


def preview_folders(project: ProjectFolder, number: int) -> list[str]:
    return [
        name for name in ("prelabels", "pictures") if (project.round_folder(number) / name).is_dir()
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """The folder of a project with a model, and its labels."""
    project, made = labelled(tmp_path_factory.mktemp("trained"), images=3)
    with project:
        fit.fit(project, Silent(), changes=QUICK)
    return project.folder, made


@pytest.fixture
def killed(
    trained: tuple[Path, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProjectFolder]:
    """The project, whose query was killed after its request, before its previews."""

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    shutil.copytree(trained[0], tmp_path / "flat")
    project = ProjectFolder.open(tmp_path / "flat")

    with monkeypatch.context() as patched:
        patched.setattr(previews, "_write_prelabels", kill)
        with pytest.raises(KeyboardInterrupt):
            query.query(project, Budget(4), Silent())
    assert not preview_folders(project, 2) and project.round_number == 3
    with project:
        yield project


def test_a_query_killed_after_its_request_is_completed_by_the_same_query(
    killed: ProjectFolder,
) -> None:
    again = query.query(killed, Budget(4), Silent())
    assert again.repeated and again.round == 2 and killed.round_number == 3
    assert preview_folders(killed, 2) == ["prelabels", "pictures"]


@pytest.mark.parametrize("again", [False, True])
def test_previews_of_a_killed_query_are_written_by_the_next_one_though_cells_are_answered(
    killed: ProjectFolder, trained: tuple[Path, Made], again: bool
) -> None:
    answer(killed, trained[1])
    if again:
        fit.fit(killed, Silent(), changes=QUICK)
    said = Said()
    assert query.query(
        killed, Budget(3), Silent(), dry_run=True
    ).round == 3 and not preview_folders(killed, 2)
    assert query.query(killed, Budget(3), said, prelabels=False).round == 3
    assert said.lines[0] == "Writing the previews of round 2, before which its query was stopped."
    assert preview_folders(killed, 2) == ["prelabels", "pictures"] and not preview_folders(
        killed, 3
    )
    later = Said()
    query.query(killed, Budget(2), later, prelabels=False)
    assert not [line for line in later.lines if "previews" in line]


def test_previews_leave_out_picks_that_were_removed_since(killed: ProjectFolder) -> None:
    picks = read_picks(killed.round_folder(2))
    gone = picks[0].cell.image_id
    kept = [pick for pick in picks if pick.cell.image_id != gone]
    remove(killed, [gone])
    query.query(killed, Budget(1, "images"), Silent(), strategy="random_images", prelabels=False)
    folder = killed.round_folder(2)
    written = [path for path in (folder / "prelabels").rglob("*") if path.is_file()]
    assert len(written) == len(kept) and not any(Path(gone).stem == path.stem for path in written)
    numbers = {int(path.name[:3]) for path in (folder / "pictures").iterdir()}
    assert numbers == {index for index, pick in enumerate(picks) if pick.cell.image_id != gone}


def test_previews_that_fail_do_not_stop_another_query(
    killed: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LabelError("The label is damaged.")

    said = Said()
    with monkeypatch.context() as patched:
        patched.setattr(previews, "_write_prelabels", fail)
        assert query.query(
            killed, Budget(1, "images"), said, strategy="random_images", prelabels=False
        ).picks
    assert "They are not written: The label is damaged. The next query tries again." in said.lines
    query.query(killed, Budget(2, "images"), Silent(), strategy="random_images", prelabels=False)
    assert preview_folders(killed, 2) == ["prelabels", "pictures"]


def test_previews_of_a_network_that_ignores_labels_read_none(killed: ProjectFolder) -> None:
    newest = newest_fit(killed.folder)
    assert newest
    scorer = scorer_of(RoundScores(killed, newest, strategy_of(killed)[1]), Silent())
    images = sorted({cell.image_id for cell in scorer.context.source.labels})
    for label in scorer.context.source.labels.values():
        label.path.write_bytes(b"damaged")
    assert len(list(scorer.outputs(scorer.context, images))) == len(images) > 0
    (batch,) = scorer.batches(scorer.context, images[:8])
    assert list(batch.batch.ids) == images[:8] and batch.known is None


def test_previews_that_cannot_be_written_any_more_are_not_tried_again(
    killed: ProjectFolder,
) -> None:
    newest = newest_fit(killed.folder)
    assert newest
    (killed.folder / newest.checkpoint).unlink()
    for lines in (2, 0):
        said = Said()
        query.query(killed, Budget(3), said, strategy="random_cells", prelabels=False)
        assert len([line for line in said.lines if "previews" in line]) == lines, said.lines
