"""Laws of scoring elsewhere: shards of processes without the ledger give the picks of one process, whatever dies."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.processes import cores
from labelgrid.basics.progress import Progress, Silent
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import JOBS, Workplace, workplace_of
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import noted_unusable_images
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds import fit, query, score
from labelgrid.rounds.shard_scorer import PRELOADED, THREADS, ScoringOrder, ShardImages
from labelgrid.score.shards import PoolShard
from labelgrid.score.table import EXPLAINING, FILE
from labelgrid.select.strategy import Budget
from tests.projects import Said
from tests.rounds import QUICK, copied, labelled

COVERS = ["labelgrid.executors.workplace"]
HERE = "tests.unit.rounds.test_shard_scorer"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ProjectFolder:
    """A project of 60 images with a model."""
    project, _ = labelled(tmp_path_factory.mktemp("trained"), n=60, tasks=("semseg", "depth"))
    fit.fit(project, Silent(), changes=QUICK)
    return project


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many threads here as elsewhere: sums of more threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(threads)


def scores_folder(project: ProjectFolder) -> Path:
    return project.round_folder(project.round_number) / "scores"


def files(project: ProjectFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in scores_folder(project).iterdir()}


def picks(project: ProjectFolder) -> list[object]:
    return list(query.query(project, Budget(20), Silent(), dry_run=True).picks)


def of_processes(shard: int, workers: int = 2, share: Share | None = None) -> Workplace:
    return Workplace(Processes(PRELOADED, workers, share or Share()), shard)


def test_one_two_or_seven_shards_elsewhere_have_the_files_and_the_picks_of_this_process(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "alone") as project:
        score.score(project, Silent())
        expected = files(project), picks(project)
    assert set(expected[0]) == {FILE, EXPLAINING}
    for count, shard in ((1, 64), (2, 32), (7, 8)):
        with copied(trained, tmp_path / str(count)) as project:
            table = score.score(project, Silent(), workplace=of_processes(shard))
            assert len(table.images) > 48
            assert (files(project), picks(project)) == expected


def test_an_ensemble_is_trained_and_scores_elsewhere_as_here(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    found = []
    there = of_processes(16, workers=cores())  # so that each training has one thread
    for name, workplace in (("here", Workplace()), ("there", there)):
        with copied(trained, tmp_path / name) as project:
            project.settings = replace(
                project.settings,
                strategy=PluginChoice("bald", {"statistic": "ensemble"}),
                changes={"score": {"ensemble": {"members": 3}}},
            )
            share = of_processes(16, share=Share(0, 2))
            with pytest.raises(UsageError, match="statistics are trained first"):
                score.score(project, Silent(), workplace=share)
            counted = Steps()
            table = score.score(project, counted, workplace=workplace)
            assert set(table.statistics) == {"ensemble"}
            assert ("Training members" in counted.steps) == bool(workplace.executor)
            assert ("Training" in counted.steps) != bool(workplace.executor)
            members = sorted(project.folder.glob("rounds/*/fit/members/*/*.json"))
            assert [path.parent.name for path in members] == ["ensemble-001", "ensemble-002"]
            found.append((files(project)[FILE], [path.read_bytes() for path in members]))
    assert found[0] == found[1]


class Steps(Silent):
    """Keeps the names of the steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def start(self, what: str, total: int, unit: str) -> None:
        self.steps.append(what)


class Killing(Said):
    """Kills the process of a shard when the first progress arrives."""

    def __init__(self, jobs: Path) -> None:
        super().__init__()
        self.jobs, self.left = jobs, 3

    def advance(self, amount: int = 1, note: str = "") -> None:
        for path in sorted(self.jobs.glob("*/pid")):
            pid = int(path.read_text().partition('"pid": ')[2].partition(",")[0])
            if self.left and not (path.parent / "end.json").exists():
                with suppress(ProcessLookupError):  # one that was killed before
                    os.kill(pid, signal.SIGKILL)
                    self.left -= 1


def test_a_worker_that_is_killed_three_times_changes_no_byte(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "alone") as project:
        score.score(project, Silent())
        expected = files(project)
    with copied(trained, tmp_path / "killed") as project:
        said = Killing(scores_folder(project) / JOBS)
        with project.lock():
            score.score(project, said, workplace=of_processes(16))
        assert files(project) == expected
        assert any("It is tried again." in line for line in said.lines)


class Stopping(Silent):
    """Stops in the second shard of 16 images."""

    def __init__(self) -> None:
        self.left = 17

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.left -= amount
        if self.left <= 0:
            raise KeyboardInterrupt


class Notes(Said):
    """Keeps the notes."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.lines.append(f"{amount} {note}")


def test_a_stopped_driver_leaves_shards_that_another_place_and_size_does_not_repeat(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "stopped") as project:
        with pytest.raises(KeyboardInterrupt):
            score.score(project, Stopping(), workplace=of_processes(16, workers=1))
        kept = sorted(scores_folder(project).glob("scores-*.part"))
        notes = Notes()
        score.score(project, notes, workplace=of_processes(0))
        assert notes.lines.count("16 done before") == len(kept) > 0
        done = files(project)
    with copied(trained, tmp_path / "alone") as project:
        score.score(project, Silent())
        assert files(project) == done


def test_shares_score_their_shards_and_this_process_joins_them(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "shares") as project:
        for index in (0, 1):
            said = Said()
            share = Share(index, 2)
            table = score.score(project, said, workplace=of_processes(16, share=share))
            assert not table.images and said.lines[-1].startswith(f"Share {index + 1} of 2 is done")
        notes = Notes()
        assert len(score.score(project, notes).images) > 48
        assert all(line.endswith("done before") for line in notes.lines if line[0].isdigit())


def test_a_damaged_image_is_set_aside_with_its_reason_wherever_it_is_scored(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    images = sorted(row.image_id for row in trained.store.images(("train",)))
    roots = {row.image_id: Path(row.root) for row in trained.store.images()}
    grid = trained.store.grid()
    free = [grid.images[row] for row in np.flatnonzero(grid.eligible.any(1)).tolist()]
    bad = sorted(free)[5]
    path = roots[bad] / bad
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found = []
    try:
        for name, workplace in (("here", Workplace()), ("there", of_processes(32))):
            with copied(trained, tmp_path / name) as project:
                said = Said()
                table = score.score(project, said, workplace=workplace)
                assert bad not in table.images and len(table.images) == len(free) - 1
                assert any(line.startswith("1 image is set aside") for line in said.lines)
                assert set(noted_unusable_images(project)) == {bad}
                found.append(files(project))
    finally:
        path.write_bytes(content)
    assert found[0] == found[1] and images


def test_a_model_that_changed_meanwhile_is_scored_anew(
    trained: ProjectFolder, tmp_path: Path
) -> None:
    with copied(trained, tmp_path / "changed") as project:
        with pytest.raises(KeyboardInterrupt):
            score.score(project, Stopping(), workplace=of_processes(16, workers=1))
        assert list(scores_folder(project).glob("*.part"))
        fit.fit(project, Silent(), changes=QUICK | {"train": {"epochs": 2}})
        notes = Notes()
        score.score(project, notes, workplace=of_processes(32))
        assert not any("done before" in line for line in notes.lines)


def failing(shard: PoolShard, order: ScoringOrder, images: ShardImages, progress: Progress) -> None:
    raise ValueError("It cannot be scored.")


def test_a_shard_that_cannot_be_scored_is_an_error_that_keeps_the_others(
    trained: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labelgrid.rounds import pool_scorer

    monkeypatch.setattr(pool_scorer, "score_ordered", failing)
    with copied(trained, tmp_path / "failing") as project:
        with pytest.raises(
            ProjectError, match=r"could not be finished. Shard \d: ValueError: It cannot"
        ):
            score.score(project, Silent(), workplace=of_processes(64))
        assert not (scores_folder(project) / FILE).exists()


def test_a_place_beside_what_is_done_here_is_refused() -> None:
    assert workplace_of("", 0, 5, PRELOADED) == Workplace(shard=5)
    with pytest.raises(UsageError, match="With --predictions, all is done in this process"):
        workplace_of("", 2, 0, PRELOADED).refuse("--predictions")
