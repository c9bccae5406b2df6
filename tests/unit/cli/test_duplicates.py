"""Laws of the command that finds duplicates: what it prints, as text and as JSON."""

import re
from pathlib import Path

import pytest

from tests.commands import run, values
from tests.videos import photographs, video


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of a video of 12 frames, of which none was read."""
    folder = tmp_path_factory.mktemp("flat")
    video(folder / "photos", "frame_{:02d}.jpg", 12)
    words = ("--task", "depth", "--holdout", 3, "--check", "none")
    run("init", folder / "flat", "--images", folder / "photos", *words)
    return folder / "flat"


def test_pairs_are_said_with_what_to_do(flat: Path) -> None:
    said = run("duplicates", flat)
    assert "3 of 3 held-out images look like a training image" in said
    assert "labelgrid remove" in said and "--group" in said
    assert (
        f"pairs to {flat / 'duplicates.csv'}; {flat / 'duplicates.png'} shows the most alike."
        in said
    )


def test_pairs_as_json(flat: Path) -> None:
    found = values("duplicates", flat, "--workers", "1")
    assert (found["measured"], found["training"], found["unread"], found["small"]) == (3, 9, {}, [])
    assert {"measured", "training", "likeness"} == found["pairs"][0].keys()
    assert found["table"] == str(flat / "duplicates.csv")
    assert found["sheet"] == str(flat / "duplicates.png")
    assert found["warning"].startswith("3 of 3 held-out images")


def test_without_pairs_and_with_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    photographs(tmp_path / "photos", 9)
    words = ("--task", "depth", "--holdout", 3, "--check", "none")
    run("init", tmp_path / "flat", "--images", tmp_path / "photos", *words)
    (tmp_path / "photos" / "photo_0004.jpg").write_bytes(b"damaged")
    said = run("duplicates", tmp_path / "flat")
    assert re.search(r"None of [23] held-out images looks like one of [56] training images.", said)
    assert "Not compared, as they cannot be read: photo_0004.jpg. `labelgrid verify" in said
    assert values("duplicates", tmp_path / "flat")["sheet"] is None
