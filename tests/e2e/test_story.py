"""A campaign with mistakes: the page docs/story.md is the script.

After each section the project is checked.
"""

import json
import tomllib
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sybil import Example

from tests.docs.console import examples_of
from tests.e2e.commands import cells, done, held_out, manifest, status
from tests.unit.report.reading import Page

STORY = Path(__file__).parents[2] / "docs" / "story.md"
FLAT, TASKS = Path("flat"), ("semseg", "depth", "normals")


def pixels(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def read(number: int, name: str) -> Any:
    return json.loads((FLAT / "rounds" / f"{number:04d}" / name).read_text())


def labels(image: str, task: str) -> list[Path]:
    """The files of a cell in the project."""
    return list((FLAT / "labels" / task).glob(f"{Path(image).stem}.*"))


def requested(number: int) -> set[tuple[str, str]]:
    return {(pick["image"], pick["task"]) for pick in read(number, "picks.json")}


def states(name: str) -> list[int]:
    return [status(FLAT)["tasks"][task][name] for task in TASKS]


def check_material() -> None:
    assert len(list(Path("photos").glob("IMG_*"))) == 30 and not FLAT.exists()


def check_folder() -> None:
    assert states("missing") == [30] * 3 and not held_out(FLAT)
    assert tomllib.loads((FLAT / "labelgrid.toml").read_text())["changes"] == {
        "data": {"fit": "crop"}
    }


def check_answers() -> None:
    """Nothing of the three refused answers is in the project; what is in it is right."""
    asked = {(row["image"], row["task"]) for row in manifest(Path("first"))}
    assert cells(FLAT, "labelled") == asked == requested(1) and not cells(FLAT, "requested")
    assert states("spent") == [80, 8, 8] and status(FLAT)["images"] == 30
    for image, task in asked:
        (path,) = labels(image, task)
        truth = pixels(Path("truth", task, path.name.split(".")[0]).with_suffix(".png"))
        assert np.array_equal(pixels(path), truth * 2 if task == "depth" else truth)
    assert not (FLAT / "import-suspicious.png").exists()


def check_holdout() -> None:
    held, values = held_out(FLAT), status(FLAT)
    assert len(held) == 8 and not held & {image for image, _ in requested(1)}
    assert cells(FLAT, "labelled") == requested(1) | {
        (image, task) for image in held for task in TASKS
    }
    assert read(2, "heldout.json")["heldout_labels"] == dict.fromkeys(TASKS, 8)
    assert read(2, "fit.json")["recipe"]["data"]["fit"] == "crop"
    assert [line["task"] for line in values["headlines"]] == list(TASKS)
    assert all(line["change_interval"] is None for line in values["headlines"])


def check_declarations() -> None:
    depth, semseg = (
        json.loads(done("task", FLAT, task, "--json").out) for task in ("depth", "semseg")
    )
    assert depth["options"] == {"scale": 0.0005, "maximum": 20} and depth["cost"] == 2
    assert semseg["options"]["classes"][-1] == "person" and semseg["options"]["merge"] == {
        "desk": "table"
    }
    assert states("labelled") == [16] * 3 and states("spent") == [
        160,
        16,
        16,
    ]  # at the cost of that time
    assert read(2, "fit.json")["labels"] == dict.fromkeys(TASKS, 8)


def check_delivery() -> None:
    refused = json.loads(Path("faults.json").read_text())
    assert not refused["imported"] and len(refused["faults"]) == 30
    assert set(status(FLAT)["tasks"]) == set(TASKS) and status(FLAT)["removed"]["tasks"] == [
        "saliency"
    ]
    assert len(list((FLAT / "labels" / "saliency").iterdir())) == 30
    assert not (FLAT / "import-faults.txt").exists()


def check_photographs() -> None:
    values, lost = status(FLAT), {"IMG_10.jpg", "IMG_11.jpg"}
    assert (values["images"], values["removed"]["images"], values["set_aside"]) == (28, 2, {})
    assert len(requested(2)) == 30 and not lost & {image for image, _ in requested(2)}
    assert cells(FLAT, "requested") == requested(2) and sum(states("requested")) == 30


def check_normals() -> None:
    """All labels are there, no normal is flipped, and the change of each figure has an interval."""
    answered = [image for image, task in requested(2) if task == "normals"]
    assert requested(2) < cells(FLAT, "labelled") and not cells(FLAT, "requested")
    for image in answered:
        (path,) = labels(image, "normals")
        assert np.array_equal(
            pixels(path), pixels(Path("truth/normals", image).with_suffix(".png"))
        )
    for line in status(FLAT)["headlines"]:
        low, high = line["change_interval"]
        assert low <= line["result"]["value"] - line["before"] <= high and line["images"] == 8
        assert line["verdict"] in ("better", "worse", "within noise")
    assert sum(read(3, "fit.json")["labels"].values()) == 24 + 30


def check_labels() -> None:
    assert ("IMG_29.jpg", "depth") not in cells(FLAT, "labelled") and len(
        labels("IMG_29.jpg", "depth")
    ) == 1
    assert len(requested(3)) == 6 and cells(FLAT, "requested") == requested(3)
    assert json.loads(done("verify", FLAT, "--json").out)["faults"] == []
    page = Page((FLAT / "report.html").read_text())
    words = page.section("curves").words
    assert all(line["text"] in words for line in status(FLAT)["headlines"])


def check_taken_back() -> None:
    """The image and all its labels are there, and nothing was paid for them again."""
    assert {("IMG_29.jpg", task) for task in TASKS} < cells(FLAT, "labelled")
    assert status(FLAT)["images"] == 28 and len(labels("IMG_29.jpg", "depth")) == 1
    assert states("labelled") != [0] * 3 and states("spent")[1] == 16 + 2 * (
        states("labelled")[1] - 16
    )
    assert json.loads(done("verify", FLAT, "--json").out)["faults"] == []


#: What is checked after each section of the page.
CHECKS: dict[str, Callable[[], None]] = {
    "The material": check_material,
    "The folder": check_folder,
    "Three wrong answers": check_answers,
    "Images to measure on": check_holdout,
    "Wrong declarations": check_declarations,
    "A delivery full of faults": check_delivery,
    "Lost photographs": check_photographs,
    "Flipped normals": check_normals,
    "A wrong label": check_labels,
    "Taken back": check_taken_back,
}


def sections() -> Iterator[tuple[str, Iterator[Example]]]:
    """The examples of the page by section."""
    lines = STORY.read_text(encoding="utf-8").splitlines()

    def title(example: Example) -> str:
        return next(line[3:] for line in reversed(lines[: example.line]) if line.startswith("## "))

    return groupby(examples_of(STORY), title)


@pytest.mark.timeout(1200)
def test_the_story_happens_as_its_page_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = []
    for title, examples in sections():
        for example in examples:
            example.evaluate()
        CHECKS[title]()
        told.append(title)
    assert told == list(CHECKS)
