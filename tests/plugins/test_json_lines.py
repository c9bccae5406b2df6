"""A custom connector, named by its module: a round with export and import, killed and repeated."""

import shutil
from pathlib import Path

from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.fit import fit
from labelgrid.rounds.query import query
from labelgrid.select.strategy import Budget
from tests.annotators.json_lines import CONNECTOR, answer
from tests.campaigns import ledger
from tests.e2e.killing import command
from tests.projects import answer as answer_all
from tests.projects import make_project
from tests.support import Made


def listing(folder: Path) -> dict[str, bytes]:
    """The files of a folder; the unfinished files of a killed run are hidden."""
    files = (
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def three(moments: list[str]) -> list[int]:
    """Moments for a kill: the first, the last, and one between."""
    return sorted({1, len(moments) // 2, len(moments)})


def answered(project: ProjectFolder, made: Made, sent: Path) -> Path:
    """Answer all open requests of the pool but the best, which is skipped."""
    rows = list(project.store.cells(state=State.REQUESTED))
    labels = {row.request_id: made.label(row.cell.image_id, row.cell.task) for row in rows[1:]}
    return answer(sent, labels, {rows[0].request_id: "too dark"})


def exported(flat: Path, sent: Path) -> None:
    """Export to `sent`, and killed to other folders, then again: they are the same."""
    words = ("export", flat, "--to", CONNECTOR, "--out")
    for moment in three(command(*words, sent)):
        killed = flat.parent / f"sent-{moment}"
        assert not command(*words, killed, die=moment)
        assert command(*words, killed)
        assert listing(killed) == listing(sent)


def imported(flat: Path, sent: Path) -> None:
    """Import into the project, and killed into copies of it, then again: their ledgers are the same."""
    untouched = flat.parent / "untouched"
    shutil.copytree(flat, untouched)
    for moment in three(command("import", flat, sent, "--format", CONNECTOR)):
        killed = flat.parent / f"flat-{moment}"
        shutil.copytree(untouched, killed)
        assert not command("import", killed, sent, "--format", CONNECTOR, die=moment)
        assert command("import", killed, sent, "--format", CONNECTOR)
        with ProjectFolder.open(flat) as project, ProjectFolder.open(killed) as other:
            assert ledger(project) == ledger(other)
            assert list(project.store.cells()) == list(other.store.cells())
            states = {row.state for row in project.store.cells(splits=("train",))}
            assert states == {State.LABELLED, State.SKIPPED}


def test_a_round_goes_through_json_lines_and_the_network_learns_what_was_answered(
    tmp_path: Path,
) -> None:
    project, made = make_project(tmp_path, n=6, holdout=2, tasks=("semseg", "depth"))
    flat, sent = tmp_path / "flat", tmp_path / "sent"
    with project:
        answer_all(project, made)
        query(project, Budget(4), Silent())
    exported(flat, sent)
    with ProjectFolder.open(flat) as project:
        answered(project, made, sent)
    imported(flat, sent)
    with ProjectFolder.open(flat) as project:
        done = fit(project, Silent())
        assert sum(done.labels.values()) == 3  # of four requests one was skipped
        picks = query(project, Budget(2), Silent())
        assert picks.strategy == "partal" and len(picks.picks) == 2
        assert command("export", flat, "--to", CONNECTOR, "--out", tmp_path / "next")
        text = (tmp_path / "next" / "requests.jsonl").read_text()
        assert (
            len(text.splitlines()) == 2 and '"prelabel": null' not in text
        )  # the model's predictions go along
