"""What earlier labelgrids wrote opens and gives the same answers."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from labelgrid.ledger.store import Store
from tests.compat import make
from tests.e2e.commands import done

#: One of each version whose ledger has other tables.
ARCHIVES = sorted(Path(__file__).parent.glob("*.zip"))
#: How far measured numbers may differ on another processor.
ROUNDING = 1e-4


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.stem)
def archive(request: pytest.FixtureRequest) -> Path:
    """What an earlier labelgrid wrote."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def expected(archive: Path) -> dict[str, Any]:
    """The archive's folder, and what the commands said there."""
    with zipfile.ZipFile(archive) as file:
        values: dict[str, Any] = json.loads(file.read("expected.json"))
    return values


@pytest.fixture(scope="module")
def folder(
    archive: Path, expected: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The archive in a folder of this machine, which the settings and the study name; its images have moved there."""
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    for path in (*folder.rglob("labelgrid.toml"), *folder.rglob("study.json")):
        path.write_text(path.read_text().replace(f'"{expected["folder"]}/', f'"{folder}/'))
    done("add", folder / "project", "--images", folder / "data/images")
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, Any]:
    """What the commands say here; nothing is trained."""
    return make.answers(folder)


#: What is said otherwise since: the next query follows the last one's budget and unit.
SINCE = {"status": {"next": "labelgrid query FOLDER/project --budget 3 --unit images"}}


def agrees(value: Any, before: Any) -> bool:
    """Whether values have everything that was said before; they may say more."""
    if isinstance(before, dict):
        return all(key in value and agrees(value[key], before[key]) for key in before)
    if isinstance(before, list):
        return len(value) == len(before) and all(map(agrees, value, before))
    if isinstance(before, float):
        return math.isclose(value, before, rel_tol=ROUNDING, abs_tol=1e-9)
    return bool(value == before)


@pytest.mark.parametrize("command", ["status", "verify", "report", "evaluate", "query", "study"])
def test_a_command_says_what_it_said(
    folder: Path, answers: dict[str, Any], expected: dict[str, Any], command: str
) -> None:
    before = expected["answers"][command]
    if command in SINCE:
        before = {**before, **SINCE[command]}
    text = json.dumps(before)
    text = text.replace(expected["folder"], str(folder)).replace("FOLDER", str(folder))
    assert agrees(answers[command], json.loads(text))


def test_the_query_uses_the_scores_that_are_there(
    answers: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = [pick["cell"] for pick in expected["answers"]["query"]["picks"]]
    assert [pick["cell"] for pick in answers["query"]["picks"]] == before
    assert len(before) == make.BUDGET[1]


def test_events_say_their_command_annotator_and_class_list(folder: Path) -> None:
    with Store.open(folder / "project/labelgrid.db") as store:
        events = list(store.events())
    commands = list(dict.fromkeys(event.operation.command for event in events))
    assert commands[:3] == ["init", "query", "import"]
    labels = [event.move for event in events if event.operation.command == "import"]
    assert {move.annotator for move in labels} == {"Ada", ""}
    assert {move.classes for move in labels if move.cell.task == "semseg"} == {make.CLASSES}


def test_a_study_is_complete_by_its_records(folder: Path) -> None:
    done(*make.study_words(folder))
    assert (folder / "study/outcomes.parquet").is_file()
    assert not list((folder / "study").rglob("*.ckpt"))
