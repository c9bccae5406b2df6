"""A full disk and a read-only project: commands are refused with a clear error, and no cell changes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import cells, said, state
from tests.started import Started
from tests.support import Made
from tests.torture import read_only

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "and run the same command again."
#: Mounts a small disk at $1 (visible to this process only), copies the projects there, and runs the
#: rest.
SMALL_DISK = 'mount -t tmpfs -o size=24m none "$1" && cp -r "$2" "$3" "$1" && shift 3 && exec "$@"'


def alone(folder: Path, steps: Sequence[dict[str, Any]], *before: str) -> list[dict[str, Any]]:
    """The results of steps that run in their own process, started with the words `before`."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "tests.e2e.alone", str(folder)],
        input=json.dumps(steps),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
        text=True,
    )
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def works(*words: str) -> bool:
    return (
        bool(shutil.which(words[0]))
        and subprocess.run(words, capture_output=True, check=False).returncode == 0
    )


#: Command -> kilobytes left on the disk, and the error; ROOM is the disk, DATA the made images.
FULL: dict[str, tuple[int, str]] = {
    "import ROOM/asked ROOM/asked/rounds/0001/request": (
        40,
        f"The disk reports an error: No space left on device (ROOM/asked).\n"
        f"  Free some space or fix the folder's permissions, {AGAIN} Nothing was imported.",
    ),
    "init ROOM/new --images DATA/images --task depth": (
        48,
        "The ledger cannot be used: the disk is full (ROOM/.new.PID.partial/labelgrid.db).\n"
        "  Free some space and run again. Nothing was changed.",
    ),
    "fit ROOM/asked": (
        200,
        "The checkpoint cannot be written: No space left on device (ROOM/asked/rounds/0002/fit/last.ckpt).\n"
        f"  Free some space or fix the folder's permissions, {AGAIN} "
        "The checkpoint of the last epoch that could be written is kept.",
    ),
    "query ROOM/fitted --budget 5": (
        56,
        "The ledger cannot be used: the disk is full (ROOM/fitted/labelgrid.db).\n"
        "  Free some space and run again. Nothing was changed.",
    ),
    "score ROOM/fitted --workers 2 --shard 3": (
        44,
        "N pieces of work could not be finished. Shard N: The disk reports an error: Error writing bytes to file. "
        "Detail: [errno 28] No space left on device (ROOM/fitted/rounds/0003/scores/scores-N.part).\n"
        f"  Free some space or fix the folder's permissions, {AGAIN} "
        "The scores of finished shards are kept (ROOM/fitted/rounds/0003/scores/jobs).\n"
        "  Remove the cause and run the same command again: it does what is missing. What was finished is kept.",
    ),
    "report ROOM/fitted": (
        64,
        "The disk reports an error: No space left on device (ROOM/fitted/report.html).\n"
        f"  Free some space or fix the folder's permissions, {AGAIN} Nothing was written.",
    ),
}


def without_numbers(text: str) -> str:
    """A message without the numbers of its process, and of the shards that found no room."""
    text = re.sub(r"\.\d+\.partial", ".PID.partial", text)
    text = re.sub(r"\d+ pieces? of work", "N pieces of work", text)
    return re.sub(r"(Shard |scores-)\d+", r"\1N", text)


@pytest.fixture(scope="module")
def full(
    stages: Path, data: Made, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[dict[str, Any], ...]]:
    """Command -> its results on a full disk, and then with enough space."""
    mounts = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    disk = tmp_path_factory.mktemp("disk")
    if not works(*mounts, "mount", "-t", "tmpfs", "none", str(disk)):
        pytest.skip("this system does not allow a test to mount a disk")
    steps = []
    for words, (left, _) in FULL.items():
        typed = [
            word.replace("ROOM", str(disk)).replace("DATA", str(data.root))
            for word in words.split()
        ]
        steps += [{"words": typed, "left": left}, {"words": typed}]
    shell = ["sh", "-c", SMALL_DISK, "sh", str(disk), str(stages / "asked"), str(stages / "fitted")]
    results = [
        {
            **row,
            "said": without_numbers(row["err"].replace(str(disk), "ROOM")),
        }
        for row in alone(disk, steps, *mounts, *shell)
    ]
    return dict(zip(FULL, zip(results[::2], results[1::2], strict=True), strict=True))


@pytest.mark.parametrize("words", FULL)
def test_on_a_full_disk_a_command_is_refused_and_with_space_it_works(
    full: dict[str, tuple[dict[str, Any], ...]], words: str
) -> None:
    refused, again = full[words]
    assert (refused["code"], refused["out"], said(refused["said"])) == (1, "", FULL[words][1])
    assert refused["cells"] and (refused["ledger"] or words.startswith("fit"))
    assert again["code"] == 0, again["err"]


LEDGER = (
    "The ledger cannot be used: it cannot be written (FLAT/labelgrid.db).\n"
    "  Make its folder and its files writable for you and run again. Nothing was changed."
)
#: Commands that would change a read-only project.
LOCKED = [
    *(
        "import FLAT FLAT/rounds/0001/request",
        "add FLAT --task edges",
        "query FLAT --budget 3",
    ),
    *("export FLAT", "cancel FLAT --round 1"),
]
PERMISSIONS = f"Free some space or fix the folder's permissions, {AGAIN}"
#: Commands on a project whose folders of labels and rounds are read-only -> the error.
SEALED = {
    "import FLAT DATA/labels": "The disk reports an error: Permission denied (FLAT).\n"
    f"  {PERMISSIONS} Nothing was imported.",
    "export FLAT": "The disk reports an error: Permission denied (FLAT/rounds/0000/request/manifest.json).\n"
    f"  {PERMISSIONS} Labels in it were not changed.",
    "query FLAT --budget 3": "The disk reports an error: Permission denied (FLAT/rounds/0002/picks.json).\n"
    f"  {PERMISSIONS} Nothing was requested.",
    "init FLAT/labels/new --images DATA/images --task depth": "The project cannot be created: Permission denied "
    "(FLAT/labels/new).\n  Free some space or fix the folder's permissions, or give another folder. "
    "Nothing was made.",
}


@dataclass(frozen=True)
class ReadOnly:
    """Commands on a project FLAT while some of its paths, and everything below them, are read-only."""

    flat: Path
    paths: Sequence[Path]
    commands: Sequence[str]


#: Of a kind of read-only project, the result of each of its commands.
Results = dict[str, dict[str, dict[str, Any]]]


def locked(folder: Path, cases: dict[str, ReadOnly], data: Made) -> Results:
    """The results of the cases' commands, which run one after another in one process."""
    unprivileged = [
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
    ]
    before = (
        unprivileged if os.geteuid() == 0 else []
    )  # root can write everywhere unless it drops that capability
    if before and not works(*before, "true"):
        pytest.skip("root cannot drop its capability to write everywhere here (setpriv)")
    steps = []
    for case in cases.values():
        for command in case.commands:
            words = command.replace("DATA", str(data.root)).replace("FLAT", str(case.flat)).split()
            steps.append({"words": words})
    tops = [path for case in cases.values() for path in case.paths]
    modes = {path: path.stat().st_mode for top in tops for path in (top, *top.rglob("*"))}
    try:
        for path, mode in reversed(modes.items()):
            path.chmod(mode & ~0o222)
        results = iter(alone(folder, steps, *before))
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    found: Results = {}
    for name, case in cases.items():
        found[name] = {}
        for command in case.commands:
            row = next(results)
            found[name][command] = {**row, "said": row["err"].replace(str(case.flat), "FLAT")}
    return found


@pytest.fixture(scope="module")
def read_only_projects(
    stages: Path, data: Made, tmp_path_factory: pytest.TempPathFactory
) -> Results:
    """What commands say to a read-only project of this release and of an older one, and to a sealed one."""
    folder = tmp_path_factory.mktemp("locked")
    flat = Path(shutil.copytree(stages / "asked", folder / "flat"))
    sealed = Path(shutil.copytree(stages / "asked", folder / "sealed"))
    (sealed / "labels").mkdir()
    (folder / "older").mkdir()
    older = read_only.older_project(folder / "older")
    cases = {
        "locked": ReadOnly(flat, [flat], [*LOCKED, "report FLAT"]),
        "looked": ReadOnly(flat, [flat], commands_into(folder / "out")),
        "older": ReadOnly(older, [older], commands_into(folder / "out_of_older")),
        "sealed": ReadOnly(sealed, [sealed / "labels", sealed / "rounds"], list(SEALED)),
    }
    return locked(folder, cases, data)


@pytest.mark.parametrize("words", LOCKED)
def test_a_project_that_may_not_be_written_is_left_alone(
    read_only_projects: Results, words: str
) -> None:
    found = read_only_projects["locked"][words]
    assert (found["code"], found["out"], said(found["said"])) == (1, "", LEDGER)
    assert found["ledger"] and found["files"]


def commands_into(out: Path) -> list[str]:
    """The commands that look at a project; what they write goes to a folder."""
    out.mkdir()
    return [command.replace("OUT", str(out)) for command in read_only.LOOKING]


@pytest.mark.parametrize("release", ["looked", "older"])
@pytest.mark.parametrize("words", range(len(read_only.LOOKING)))
def test_a_project_that_may_not_be_written_can_be_looked_at(
    read_only_projects: Results, release: str, words: int
) -> None:
    found = list(read_only_projects[release].values())[words]
    assert found["code"] == 0, found
    assert re.match(
        r"FLAT cannot be written: its ledger is read in an up-to-date copy \(.*labelgrid-ledger-",
        found["said"],
    )
    assert found["ledger"]


def test_a_report_is_not_written_into_a_project_that_may_not_be_written(
    read_only_projects: Results,
) -> None:
    found = read_only_projects["locked"]["report FLAT"]
    assert found["code"] == 1
    assert "The disk reports an error: Permission denied (FLAT/report.html)." in found["said"]
    assert found["ledger"] and found["files"]


#: Looks at the pages of a project, and tries to cancel a request and to start a training.
BROWSE = """
import json, sys
from pathlib import Path
from tests.pages import client_of
with client_of(Path(sys.argv[1])) as client:
    answers = [client.get(page) for page in ("/", "/grid", "/api/status", "/undo", "/round?number=1")]
    cell = next(row for row in client.get("/api/images").json()["images"])
    answers.append(client.get("/image", params={"image": cell["image"]}))
    answers.append(client.post("/api/cells/cancel", json={"cells": [sys.argv[2]]}))
    answers.append(client.post("/api/jobs", json={"command": "fit"}))
    print(json.dumps([(answer.status_code, answer.text[-2000:]) for answer in answers]))
"""


def test_the_page_of_a_project_on_a_read_only_disk_is_for_reading(
    stages: Path, tmp_path: Path
) -> None:
    flat = Path(shutil.copytree(stages / "asked", tmp_path / "flat"))
    image, task = min(cells(flat, "requested"))
    shell = [*read_only.mounts(), "sh", "-c", read_only.READ_ONLY_DISK, "sh", str(flat)]
    if not works(*shell, "true"):
        pytest.skip("this system does not allow a test to mount a disk")
    before = state(flat)
    done = subprocess.run(
        [*shell, sys.executable, "-c", BROWSE, str(flat), f"{image}:{task}"],
        capture_output=True,
        cwd=ROOT,
        check=True,
        text=True,
    )
    *pages, cancelled, started = json.loads(done.stdout)
    assert [code for code, _ in pages] == [200] * len(pages), pages
    assert cancelled[0] >= 400 and "it cannot be written" in cancelled[1], cancelled
    assert started[0] >= 400 and "Read-only file system" in started[1], started
    words = [*shell, sys.executable, "-m", "labelgrid", "serve", flat, "--port", 0]
    with Started(*words, cwd=ROOT) as served:
        said = [served.next_line(), served.next_line()]
        served.terminate()
        served.communicate()
    assert "shows" in said[0] and f"{flat} cannot be written: its ledger is read" in said[1], said
    assert state(flat) == before


@pytest.mark.parametrize("words", SEALED)
def test_folders_that_may_not_be_written_are_named(read_only_projects: Results, words: str) -> None:
    found = read_only_projects["sealed"][words]
    assert (found["code"], found["out"], said(found["said"])) == (1, "", SEALED[words])
    assert found["ledger"] and found["files"]
