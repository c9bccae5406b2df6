"""Laws of how a project begins and grows: all or nothing, held-out images drawn once and kept apart."""

import os
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

import pytest

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError, LedgerError, ProjectError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.images.reading import check_image
from labelgrid.ledger.grid import Cell, ImageRow, State
from labelgrid.ledger.place import database_url
from labelgrid.ledger.store import Store
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images import image_files
from labelgrid.project.settings import Settings
from tests import postgres
from tests.campaigns import DEPTH, NORMALS, Make, held, states
from tests.support import Made

COVERS = ["labelgrid.project.images.image_files"]


def test_a_project_knows_its_images_by_path_size_and_content(make: Make, photos: Made) -> None:
    with make() as project:
        rows = list(project.store.images())
        assert [row.image_id for row in rows] == list(photos.names)
        height, width, digest = check_image(photos.images / photos.names[4])
        assert rows[4] == ImageRow(
            image_id=photos.names[4],
            root=str(photos.images),
            digest=digest,
            height=height,
            width=width,
        )
        assert project.store.tasks() == (DEPTH, NORMALS) and not states(project)
        assert (
            project.folder.name == "flat"
            and [p.name for p in project.folder.parent.glob(".*")] == []
        )


def test_unopened_images_have_no_size_and_may_be_absent(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    (photos.root / "list.txt").write_text("images/room_00/0000.jpg\nelsewhere.png\n")
    with make(images=[photos.root / "list.txt"], check="none") as project:
        assert list(project.store.images()) == [
            ImageRow(image_id="elsewhere.png", root=str(photos.root)),
            ImageRow(image_id="images/room_00/0000.jpg", root=str(photos.root)),
        ]


def test_held_out_images_are_drawn_by_the_seed_alone_and_requested_as_round_0(
    make: Make, photos: Made
) -> None:
    with make("a", holdout=4) as a, make("b", holdout=4) as b, make("c", holdout=4, seed=1) as c:
        assert held(a) == held(b) != held(c) and len(held(a)) == len(held(c)) == 4
        rows = list(a.store.cells())
        assert {row.cell for row in rows} == {
            Cell(name, task) for name in held(a) for task in ("depth", "normals")
        }
        assert {(row.state, row.round) for row in rows} == {(State.REQUESTED, 0)}
        assert {(row.cell.task, row.cost) for row in rows} == {("depth", 2.0), ("normals", 1.0)}
        assert len({row.request_id for row in rows}) == 8
        assert {row.request_id for row in rows} == {row.request_id for row in b.store.cells()}


def test_the_draw_does_not_depend_on_which_other_images_there_are(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    with make("a", holdout=8) as a:
        more = set(held(a))
    with make("b", holdout=3) as b:
        fewer = set(held(b))
    assert fewer < more
    for name in set(photos.names) - more:
        (photos.images / name).unlink()
    with make("c", holdout=3) as c:
        assert set(held(c)) == fewer


def test_images_of_a_group_are_held_out_together(make: Make) -> None:
    with make(holdout=4, group=r"^[^/]+") as project:
        groups = [row.group for row in project.store.images(("heldout",))]
        assert len(groups) == 6 and len(set(groups)) == 2
        assert not set(groups) & {row.group for row in project.store.images(("train",))}


@pytest.mark.parametrize(
    ("holdout", "group"), [(-1, ""), (12, ""), (99, ""), (10, r"^[^/]+"), (1, "room")]
)
def test_a_holdout_that_leaves_nothing_to_learn_from_is_refused(
    make: Make, tmp_path: Path, holdout: int, group: str
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ProjectError) as caught:
        make(holdout=holdout, group=group)
    assert caught.value.unchanged == "Nothing was made." and sorted(tmp_path.iterdir()) == before


def test_an_impossible_holdout_is_refused_before_images_are_read(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "check_image", lambda path: pytest.fail("an image was read"))
    with pytest.raises(ProjectError, match="leaves none to train on"):
        make(holdout=12)


def test_all_images_that_cannot_be_used_are_named_and_nothing_is_made(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    for name in photos.names[1:3]:
        (photos.images / name).write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ImageError) as caught:
        make()
    assert str(caught.value) == (
        "2 of 12 images cannot be used:\n"
        "    room_00/0001.jpg: The image file is empty: 0 bytes. Copy it again.\n"
        "    room_00/0002.jpg: The image file is empty: 0 bytes. Copy it again.\n"
        "  Fix or remove them, or leave them out with --leave-out. Nothing was made."
    )
    assert sorted(tmp_path.iterdir()) == before


def test_images_that_cannot_be_read_are_left_out_where_that_is_wanted(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    for name in photos.names[1:7]:
        (photos.images / name).write_bytes(b"")
    (photos.images / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    left_out: list[Fault] = []
    with make(holdout="50%", left_out=left_out) as project:
        ids = [row.image_id for row in project.store.images()]
        assert ids == [photos.names[0], *photos.names[7:]]
        assert len(held(project)) == 3
        lines = (project.folder / "left-out.txt").read_text().splitlines()
    assert [fault.where for fault in left_out] == ["caf?.jpg", *photos.names[1:7]]
    assert lines[1] == f"{photos.names[1]}: The image file is empty: 0 bytes. Copy it again."
    assert len(lines) == 7


def test_a_project_of_nothing_but_unreadable_images_is_not_made(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    for name in photos.names:
        (photos.images / name).write_bytes(b"")
    with pytest.raises(ImageError, match=r"12 of 12 images cannot be used") as caught:
        make(left_out=[])
    assert str(caught.value).endswith("\n  Fix or remove them. Nothing was made.")
    assert not (tmp_path / "flat").exists()


def test_of_very_many_faults_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    for number in range(23):
        (tmp_path / f"{number:02d}.jpg").write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        list(create.rows_of(create.find_images([tmp_path]), "full", "", Silent()))
    lines = str(caught.value).splitlines()
    assert lines[1:3] == [
        "    23 files: the same fault. The image file is empty: 0 bytes. Copy it again.",
        "      00.jpg, 01.jpg, 02.jpg, and 20 more.",
    ]
    assert len(lines) == 4


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError]
)
def test_an_init_that_ends_early_leaves_no_project(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def ends(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(create, "hold_out", ends)
    before = sorted(tmp_path.iterdir())
    with pytest.raises((ProjectError, KeyboardInterrupt, MemoryError)) as caught:
        make(holdout=2)
    if isinstance(fault, OSError):
        assert str(caught.value) == (
            f"The project cannot be created: No space left on device ({tmp_path / 'flat'}).\n"
            "  Free some space or fix the folder's permissions, or give another folder. Nothing was made."
        )
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.undo()
    make(holdout=2).close()


def test_what_a_killed_init_left_is_not_in_the_way(make: Make, tmp_path: Path) -> None:
    left = tmp_path / f".flat.{os.getpid()}.partial"
    left.mkdir()
    (left / "labelgrid.db").write_bytes(b"half")
    make().close()
    assert not left.exists()


def test_an_empty_folder_becomes_the_project_and_stays_the_same_folder(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flat").mkdir()
    number = (tmp_path / "flat").stat().st_ino
    monkeypatch.chdir(tmp_path / "flat")
    make().close()
    assert Path.cwd().stat().st_ino == number
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["labelgrid.db", "labelgrid.toml"]


def test_two_places_may_overlap_but_not_give_one_name_to_two_images(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    with make("a", images=[photos.images, photos.images]) as project:
        assert project.store.count_images() == 12
    rooms = [photos.images / "room_00", photos.images / "room_01"]
    (rooms[1] / "0003.jpg").rename(rooms[1] / "0000.jpg")
    with pytest.raises(ImageError, match=r"Two images have the id '0000\.jpg'"):
        make("b", images=rooms)


@pytest.mark.parametrize("exists", [False, True])
def test_of_five_inits_at_once_one_makes_the_project_and_the_others_say_so(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """All five have found the folder free before the first of them is done."""
    if exists:
        (tmp_path / "flat").mkdir()
    real = create.hold_out
    forking = get_context("fork")
    together = forking.Barrier(5)

    def wait(*arguments: object, **named: object) -> int:
        together.wait(60)
        return real(*arguments, **named)  # type: ignore[arg-type]

    def init(seed: int, results: "Queue[str]") -> None:
        try:
            make("flat", holdout=2, seed=seed).close()
        except ProjectError as error:
            results.put(str(error))
        else:
            results.put(str(seed))

    monkeypatch.setattr(create, "hold_out", wait)
    queue = forking.Queue()
    inits = [forking.Process(target=init, args=(seed, queue)) for seed in range(5)]
    for process in inits:
        process.start()
    results = sorted(queue.get(timeout=120) for _ in inits)
    for process in inits:
        process.join(60)
    assert results[1:] == 4 * [
        f"There is already a labelgrid project ({tmp_path / 'flat'}).\n"
        "  Give another folder, or extend this one with `labelgrid add`. It was not changed."
    ]
    with ProjectFolder.open(tmp_path / "flat") as project:
        assert project.settings.seed == int(results[0])
        assert project.store.count_images() == 12 and len(held(project)) == 2
    assert sorted(path.name for path in (tmp_path / "flat").iterdir()) == [
        "labelgrid.db",
        "labelgrid.toml",
    ]
    assert not list(tmp_path.glob(".*"))


def test_a_slow_init_leaves_a_project_as_it_is_that_was_made_and_filled_meanwhile(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flat").mkdir()
    real = create.hold_out
    filled: dict[str, bytes] = {}

    def is_overtaken(*arguments: object, **named: object) -> int:
        monkeypatch.setattr(create, "hold_out", real)
        with monkeypatch.context() as another_process:
            another_process.setattr(create.os, "getpid", lambda: 2**30)
            other = make("flat", holdout=4, seed=1)
        with other:
            (other.folder / "labels").mkdir()
            (other.folder / "labels/a.png").write_bytes(b"a label")
        for path in (tmp_path / "flat").rglob("*"):
            if path.is_file():
                filled[path.name] = path.read_bytes()
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(create, "hold_out", is_overtaken)
    with pytest.raises(ProjectError, match=r"already a labelgrid project(.|\n)*not changed"):
        make("flat", holdout=2)
    assert filled.keys() == {"labelgrid.db", "labelgrid.toml", "a.png"}
    for path in (tmp_path / "flat").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == filled.pop(path.name)
    assert not filled


def test_without_a_task_nothing_is_made(photos: Made, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="A project needs a task"):
        create.create(
            tmp_path / "flat", [photos.images], tasks=[], settings=Settings(), progress=Silent()
        )
    assert not (tmp_path / "flat").exists()


def test_a_kill_while_the_files_move_into_an_empty_folder_is_repaired_by_the_same_call(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flat").mkdir()
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path.name == "labelgrid.toml":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        make("flat")
    assert sorted(path.name for path in (tmp_path / "flat").iterdir()) == [
        ".labelgrid-unfinished",
        "labelgrid.db",
    ]
    monkeypatch.setattr(Path, "rename", rename)
    with make("flat") as project:
        assert (
            not (project.folder / ".labelgrid-unfinished").exists() and project.store.count_images()
        )


def test_a_database_of_nobody_s_stopped_call_is_not_removed(make: Make, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "labelgrid.db").write_text("mine")
    with pytest.raises(ProjectError, match="not empty"):
        make("flat")
    assert (tmp_path / "flat" / "labelgrid.db").read_text() == "mine"


def test_settings_that_cannot_be_read_back_make_nothing(photos: Made, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"not Unicode(.|\n)*Nothing was made"):
        settings = Settings(weights="a\udcff")
        create.create(
            tmp_path / "flat", [photos.images], tasks=[DEPTH], settings=settings, progress=Silent()
        )
    assert not (tmp_path / "flat").exists() and not list(tmp_path.glob(".*"))


def test_a_ledger_in_a_database_is_there_if_and_only_if_the_project_is(
    photos: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(postgres.server().place())

    def make(folder: Path) -> ProjectFolder:
        settings = Settings(ledger=url)
        return create.create(
            folder, [photos.images], tasks=[DEPTH], settings=settings, progress=Silent(), holdout=1
        )

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("take_cameras", "_move_into_place"):  # before and after the ledger is saved
        monkeypatch.setattr(create, step, fail)
        with pytest.raises(ProjectError, match="cannot be created"):
            make(tmp_path / "flat")
        monkeypatch.undo()
        assert list(tmp_path.glob("*flat*")) == []
        with pytest.raises(LedgerError, match="not a labelgrid database"):
            Store.open(database_url(url))
    with make(tmp_path / "flat") as project:
        assert str(project.store.place) == url
        assert len(held(project)) == 1
    with pytest.raises(LedgerError, match="A database exists already"):
        make(tmp_path / "other")
    with ProjectFolder.open(tmp_path / "flat") as project:
        assert len(held(project)) == 1
    assert not (tmp_path / "other").exists()


def test_a_recipe_whose_relation_reads_another_task_is_refused_at_once(
    photos: Made, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"There is no task 'semseg' \(relations\.semseg_edges"):
        create.create(
            tmp_path / "flat",
            [photos.images],
            tasks=[DEPTH],
            settings=Settings(recipe="demo"),
            progress=Silent(),
        )
    assert not (tmp_path / "flat").exists()
