"""Laws of predicting in shards: the files of one process, resumed where they were stopped, and no image stops others."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError
from labelgrid.basics.progress import Silent
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.workplace import Workplace
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import fit, predict
from labelgrid.rounds.shard_predictor import FOLDER, PRELOADED
from labelgrid.rounds.shard_scorer import THREADS
from tests.projects import Said
from tests.rounds import QUICK, labelled
from tests.support import Made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ProjectFolder, Made]:
    project, made = labelled(tmp_path_factory.mktemp("trained"), n=20, tasks=("semseg", "depth"))
    fit.fit(project, Silent(), changes=QUICK)
    return project, made


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many threads here as elsewhere: sums of more threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(threads)


def of_processes(shard: int, workers: int = 2) -> Workplace:
    return Workplace(Processes(PRELOADED, workers), shard)


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


class Notes(Said):
    """Keeps the notes, and stops after some images."""

    def __init__(self, stops_after: int = 10**9) -> None:
        super().__init__()
        self.left = stops_after

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.lines.append(f"{amount} {note}")
        self.left -= amount
        if self.left <= 0:
            raise KeyboardInterrupt


def test_shards_write_the_files_of_one_process(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = trained
    known = made.root / "labels"
    for name, options in (("plain", {}), ("soft", {"soft": True, "overlay": True})):
        here, there = tmp_path / name / "here", tmp_path / name / "there"
        count = predict.predict(
            project, made.images, out=here, known_labels=None, progress=Silent(), **options
        )
        assert count == 40
        assert count == predict.predict(
            project,
            made.images,
            out=there,
            known_labels=None,
            progress=Silent(),
            workplace=of_processes(8),
            **options,
        )
        if name == "plain":
            assert files(here) == files(there)
        assert files(here).keys() == files(there).keys() and known.is_dir()


def test_a_stopped_prediction_goes_on_with_the_shards_that_are_left(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = trained
    words = {"out": tmp_path / "out", "known_labels": None}
    with pytest.raises(KeyboardInterrupt):
        predict.predict(
            project, made.images, progress=Notes(9), workplace=of_processes(8, 1), **words
        )
    kept = list((tmp_path / "out" / FOLDER).glob("*.json"))
    assert 0 < len(kept) < 3
    (made.images / made.names[0]).touch()  # a changed image is predicted again
    notes = Notes()
    count = predict.predict(
        project, made.images, progress=notes, workplace=of_processes(0), **words
    )
    assert count == 40 and notes.lines.count("8 done before") == len(kept) - 1
    assert not (tmp_path / "out" / FOLDER).exists()


def test_an_image_that_cannot_be_read_stops_no_other(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = trained
    photos = Path(shutil.copytree(made.images, tmp_path / "photos"))
    (photos / made.names[3]).write_bytes(b"\xff\xd8 no")
    out = tmp_path / "out"
    words = {"out": out, "known_labels": None, "progress": Silent(), "workplace": of_processes(8)}
    with pytest.raises(ImageError, match=r"(?s)1 of 20 images cannot be used.*--leave-out"):
        predict.predict(project, photos, **words)
    assert len(files(out / "depth")) == 19
    left_out: list[Fault] = []
    assert predict.predict(project, photos, **words, left_out=left_out) == 38
    assert [fault.where for fault in left_out] == [made.names[3]]
    assert (project.folder / "left-out.txt").read_text().startswith(f"{made.names[3]}: ")
