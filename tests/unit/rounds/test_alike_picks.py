"""A query says which of its picks look like each other, or like images that are labelled already."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelgrid.basics.progress import Silent
from labelgrid.cli import app
from labelgrid.operations import create
from labelgrid.operations.by_hand import request
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.rounds import alike_picks
from labelgrid.rounds.query import QueryResult, query, request_kept
from labelgrid.select.strategy import Budget
from tests.campaigns import DEPTH
from tests.projects import Said
from tests.videos import photographs, video


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project of two videos of five frames, and of six photographs."""
    photographs(tmp_path / "photos", 6)
    video(tmp_path / "photos", "a_{:03d}.jpg", 5)
    video(tmp_path / "photos", "b_{:03d}.jpg", 5, seed=7)
    with create.create(
        tmp_path / "flat",
        [tmp_path / "photos"],
        tasks=[DEPTH],
        settings=Settings(),
        progress=Silent(),
        check="none",
    ) as made:
        yield made


def asked(project: ProjectFolder, count: int, **options: object) -> tuple[QueryResult, str]:
    """The result of a query, and what was said."""
    said = Said()
    options = {"strategy": "random_images", **options}
    found = query(project, Budget(count), said, prelabels=False, **options)  # type: ignore[arg-type]
    return found, "\n".join(said.lines)


def test_frames_of_one_video_among_the_picks_are_said_with_what_spreads_them(
    project: ProjectFolder,
) -> None:
    found, said = asked(project, 16)
    assert found.alike
    names = [[f"{video}_{number:03d}.jpg" for number in range(5)] for video in "ab"]
    assert [list(group) for group in found.alike.groups] == names
    assert (
        "10 of 16 picked images look like another one: a_000.jpg, a_001.jpg, a_002.jpg, and 2 more; b_000"
        in said
    )
    assert "labelgrid undo" in said and "--strategy typiclust" in said


def test_a_pick_that_looks_like_a_requested_image_is_said(project: ProjectFolder) -> None:
    request(project, ["a_002.jpg:depth"])
    found, said = asked(project, 15)
    assert found.alike
    pairs = {pair.image: pair.labelled for pair in found.alike.labelled}
    frames = {f"a_{number:03d}.jpg" for number in (0, 1, 3, 4)}
    assert pairs == dict.fromkeys(frames, "a_002.jpg")
    assert "4 of 15 picked images look like one that is labelled or asked for: " in said


def test_picks_that_differ_are_not_remarked_on(project: ProjectFolder) -> None:
    request(project, [f"{video}_{number:03d}.jpg:depth" for video in "ab" for number in range(5)])
    found, said = asked(project, 6)
    assert found.alike and not found.alike.groups and not found.alike.labelled
    assert found.alike.compared == 6 and "near-copies" not in said


def test_a_dry_run_and_its_kept_picks_say_it_and_a_repeated_query_too(
    project: ProjectFolder, tmp_path: Path
) -> None:
    dry, told = asked(project, 16, dry_run=True, save=tmp_path / "picks.json")
    assert "look like another one" in told and "labelgrid undo" not in told
    said = Said()
    kept = request_kept(project, tmp_path / "picks.json", said, prelabels=False)
    assert kept.alike == dry.alike
    again, said_again = asked(project, 16)
    assert again.repeated and again.alike == dry.alike
    assert "look like another one" in said_again


def test_only_the_best_picks_are_compared(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alike_picks, "MOST", 3)
    found, _ = asked(project, 16)
    assert found.alike and found.alike.compared == 3


def test_programs_read_which_picks_look_alike(project: ProjectFolder) -> None:
    words = ["query", str(project.folder), "--budget", "16", "--dry-run", "--json"]
    values = json.loads(CliRunner().invoke(app, words).stdout)["alike"]
    assert values["compared"] == 16
    assert [len(group) for group in values["groups"]] == [5, 5] and values["labelled"] == []
