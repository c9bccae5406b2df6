"""Laws of matching the files of an answered folder with cells."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.annotate.answer_folder import read_answers
from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.basics.errors import LabelError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import definitions
from tests.support import task_rows

TASKS = ("depth", "semseg")
IMAGES = ("a.jpg", "b.jpg", "b.png", "c.jpg", "d.v1/a.jpg", "e.jpg", "e.jpg.png")
REQUESTS = {
    "r1-aa": Cell("a.jpg", "depth"),
    "r1-ab": Cell("a.jpg", "semseg"),
    "r1-ca": Cell("c.jpg", "depth"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / "ledger.db") as store:
        for row in task_rows(TASKS):
            store.add_task(row)
        store.add_images(
            ImageRow(image_id=name, root="photos", height=4, width=4) for name in IMAGES
        )
        store.move(
            [
                Move(cell=cell, to=State.REQUESTED, round=1, request_id=name)
                for name, cell in REQUESTS.items()
            ]
        )
        yield store


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Make files below the folder: names, or name=text."""

    def put(*names: str, **texts: str) -> Path:
        for name, text in {**dict.fromkeys(names, "label"), **texts}.items():
            path = tmp_path / "answers" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "answers"

    return put


def got(store: Store, folder: Path) -> Answers:
    return read_answers(folder, ProjectIndex(store, definitions(store.tasks())))


def faults(store: Store, folder: Path) -> list[str]:
    return [str(fault) for fault in got(store, folder).faults]


def listed(*rows: tuple[str, Cell, str]) -> str:
    keys = ("request_id", "image", "task", "path")
    return json.dumps(
        [
            dict(zip(keys, (i, cell.image_id, cell.task, path), strict=True))
            for i, cell, path in rows
        ]
    )


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("r1-aa.png", Cell("a.jpg", "depth")),
        ("anywhere/below/r1-ab.png", Cell("a.jpg", "semseg")),
        ("depth/a.png", Cell("a.jpg", "depth")),
        ("depth/a.npy", Cell("a.jpg", "depth")),
        ("depth/a.PNG", Cell("a.jpg", "depth")),
        ("depth/a.jpg.png", Cell("a.jpg", "depth")),
        ("labels/depth/a.png", Cell("a.jpg", "depth")),
        ("labels/depth/d.v1/a.tiff", Cell("d.v1/a.jpg", "depth")),
        ("semseg/b.png.png", Cell("b.png", "semseg")),
        ("semseg/b.jpg.png", Cell("b.jpg", "semseg")),
    ],
)
def test_a_label_is_found_by_request_id_or_by_name(
    store: Store, put: Callable[..., Path], name: str, cell: Cell
) -> None:
    answers = got(store, put(name))
    assert [(answer.cell, answer.where) for answer in answers.labels] == [(cell, name)]
    assert not answers.faults


def test_a_list_in_the_folder_says_whose_any_path_is(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put("x/one.png", "e.png", "depth/a.png")
    put(**{"manifest.json": listed(("r1-ca", REQUESTS["r1-ca"], "x/one.png"))})
    put(**{"labels.csv": "image,task,path,round\ne.jpg.png,semseg,e.png,3\n"})
    assert {answer.where: answer.cell for answer in got(store, folder).labels} == {
        "x/one.png": Cell("c.jpg", "depth"),
        "e.png": Cell("e.jpg.png", "semseg"),
        "depth/a.png": Cell("a.jpg", "depth"),
    }


def test_what_belongs_to_the_request_or_the_system_is_no_label(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put(
        "README.txt",
        "manifest.csv",
        "images/x.png",
        "prelabels/depth/a.png",
        ".DS_Store",
        "depth/.a.png",
    )
    put("depth/a.png", ".git/b", **{"skips.csv": "", "manifest.json": "[]"})
    answers = got(store, folder)
    assert [answer.where for answer in answers.labels] == ["depth/a.png"]
    assert not answers.faults


def test_what_predict_writes_for_people_is_no_label(store: Store, put: Callable[..., Path]) -> None:
    folder = put("semseg/b.png.png", "legend.csv", "legend.png", "overlays/semseg/b.png.jpg")
    answers = got(store, folder)
    assert [answer.where for answer in answers.labels] == ["semseg/b.png.png"]
    assert not answers.faults and not answers.stray
    folder = put("overlays/semseg/b.png", "depth/legend.png")
    assert len(faults(store, folder)) == 2


def test_a_list_can_name_any_file_a_label(store: Store, put: Callable[..., Path]) -> None:
    folder = put("legend.png", **{"labels.csv": "image,task,path\na.jpg,depth,legend.png\n"})
    (label,) = got(store, folder).labels
    assert (label.cell, label.where) == (Cell("a.jpg", "depth"), "legend.png")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "depth/aa/x.png",
            "The label is of an unknown image or task. Tried: its name with its folders and without",
        ),
        ("dept/a.png", "The label is of an unknown image or task. Did you mean 'depth'?"),
        (
            "depth/d.v2/a.png",
            "Say whose it is in labels.csv, a table of image,task,path; or add the image with",
        ),
        (
            "a.png",
            "The label is of an unknown image or task. Name it REQUEST_ID.png or TASK/IMAGE.png (depth, semseg).",
        ),
        (
            "depth/b.png",
            "It could be the label of [b.jpg, depth] or [b.png, depth]. Keep the image's extension",
        ),
        (
            "depth/e.jpg.png",
            "It could be the label of [e.jpg, depth] or [e.jpg.png, depth]. Keep the image's",
        ),
        (
            "depth/r1-ab.exr",
            " [a.jpg, semseg]: Labels of semseg are .png or .tiff or .tif or .bmp or .npy files, not '.exr'. "
            "Convert it, or remove it",
        ),
        (
            "semseg/a.jpg",
            " [a.jpg, semseg]: Labels of semseg are .png or .tiff or .tif or .bmp or .npy files, not '.jpg'. "
            "JPEG changes the numbers of pixels: get the label as PNG.",
        ),
    ],
)
def test_a_file_that_is_no_label_is_a_fault_with_a_hint(
    store: Store, put: Callable[..., Path], name: str, sentence: str
) -> None:
    (fault,) = faults(store, put(name))
    assert fault.startswith(name)
    assert sentence in fault


def test_a_misspelt_name_is_told_the_image_that_lacks_a_label(
    store: Store, put: Callable[..., Path]
) -> None:
    with Store.open(store.place) as other:
        names = ("0481.jpg", "0401.jpg", "0491.jpg")
        other.add_images([ImageRow(image_id=name, root="photos") for name in names])
        cell = Cell("0491.jpg", "depth")
        other.move([Move(cell=cell, to=State.REQUESTED, round=1, request_id="r1-91")])
    (fault,) = faults(store, put("depth/04O1.png"))
    assert "Did you mean '0491.jpg'? Then name the file 'depth/0491.jpg.png'." in fault
    (fault,) = faults(store, put("depth/0491.png"))
    assert "It could be of '0401.jpg' or '0481.jpg'" in fault


def test_a_file_whose_id_and_name_say_different_cells_is_a_fault(
    store: Store, put: Callable[..., Path]
) -> None:
    with Store.open(store.place) as other:
        other.add_images([ImageRow(image_id="r1-aa.jpg", root="photos")])
    (fault,) = faults(store, put("depth/r1-aa.png"))
    assert "It could be the label of [a.jpg, depth] or [r1-aa.jpg, depth]." in fault


@pytest.mark.parametrize(
    "name", ["depth/c.png", "depth/c.jpg.png", "r1-ca.png", "semseg/a.png", "r1-ab.png", "l.png"]
)
def test_a_file_of_a_removed_image_or_a_dropped_task_is_left_out(
    store: Store, put: Callable[..., Path], name: str
) -> None:
    folder = put(
        "depth/a.png", name, **{"manifest.json": listed(("r1-ca", REQUESTS["r1-ca"], "l.png"))}
    )
    store.move(
        [
            Move(cell=cell, to=State.MISSING)
            for request, cell in REQUESTS.items()
            if request != "r1-aa"
        ]
    )
    store.remove("images", ["c.jpg"])
    store.remove("tasks", ["semseg"])
    answers = got(store, folder)
    assert ([answer.where for answer in answers.labels], answers.removed) == (
        ["depth/a.png"],
        [name],
    )
    assert not answers.faults and not answers.stray
    (fault,) = faults(store, put("semseg/nowhere.png"))
    assert "semseg/nowhere.png: The label is of an unknown image or task." in fault


def test_labels_with_a_suffix_of_their_own_are_found_if_none_is_named_after_its_image(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put("depth/a_depth.png", "depth/c_depth.png", "depth/d.v1/a_depth.png")
    answers = got(store, folder)
    assert {answer.where: answer.cell.image_id for answer in answers.labels} == {
        "depth/a_depth.png": "a.jpg",
        "depth/c_depth.png": "c.jpg",
        "depth/d.v1/a_depth.png": "d.v1/a.jpg",
    }
    assert answers.notes == ["depth: names matched without '_depth'."]
    assert not answers.faults
    put("depth/a.png")  # one file is named after its image: the others are not guessed
    assert [fault.partition(":")[0] for fault in faults(store, folder)] == [
        "depth/a_depth.png",
        "depth/c_depth.png",
        "depth/d.v1/a_depth.png",
    ]


def test_labels_with_a_suffix_are_left_out_if_their_image_or_task_is_gone(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put("depth/a_x.png", "depth/c_x.png", "semseg/a_x.png", "semseg/c_x.npz")
    assert faults(store, folder) == [
        "semseg/c_x.npz [c.jpg, semseg]: Labels of semseg are .png or .tiff or .tif or .bmp or .npy files, "
        "not '.npz'. Convert it, "
        "or remove it."
    ]
    store.move([Move(cell=cell, to=State.MISSING) for cell in REQUESTS.values()])
    store.remove("images", ["c.jpg"])
    store.remove("tasks", ["semseg"])
    answers = got(store, folder)
    assert [answer.where for answer in answers.labels] == ["depth/a_x.png"]
    assert answers.removed == ["depth/c_x.png", "semseg/a_x.png", "semseg/c_x.npz"]


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "labels/../../outside.png"])
def test_a_list_that_leads_out_of_the_folder_is_refused(
    store: Store, put: Callable[..., Path], path: str
) -> None:
    put(**{"../outside.png": "secret"})
    folder = put("depth/c.png", **{"manifest.json": listed(("r1-aa", REQUESTS["r1-aa"], path))})
    answers = got(store, folder)
    assert [str(fault) for fault in answers.faults] == [
        f"manifest.json [a.jpg, depth]: The path '{path}' leads out of the folder. Restore the exported list."
    ]
    assert [answer.where for answer in answers.labels] == ["depth/c.png"]


def test_a_listed_file_that_is_a_link_out_of_the_folder_is_refused(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put(
        **{
            "../outside.png": "secret",
            "manifest.json": listed(("r1-aa", REQUESTS["r1-aa"], "labels/x.png")),
        }
    )
    (folder / "labels").mkdir()
    (folder / "labels/x.png").symlink_to("../../outside.png")
    assert faults(store, folder) == [
        "labels/x.png [a.jpg, depth]: The file is a link that leads out of the folder. "
        "Copy the label itself into the folder."
    ]


def test_links_inside_the_folder_are_followed_and_each_folder_counts_once(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put("kept/a.png", "kept/b.png", "README.txt")
    (folder / "kept").rename(folder / ".kept")
    (folder / "depth").symlink_to(".kept")
    (folder / ".kept/loop").symlink_to(".")
    assert [answer.where for answer in got(store, folder).labels] == ["depth/a.png"]
    assert [fault.partition(":")[0] for fault in faults(store, folder)] == ["depth/b.png"]


def test_a_found_link_out_of_the_folder_is_refused_as_a_listed_one_is(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put("../elsewhere/a.png", "semseg/README.txt")
    (folder / "semseg/README.txt").unlink()
    (folder / "depth").symlink_to("../elsewhere")
    (folder / "semseg/a.png").symlink_to("../../elsewhere/a.png")
    sentence = (
        "The file is a link that leads out of the folder. Copy the label itself into the folder."
    )
    assert faults(store, folder) == [f"depth: {sentence}", f"semseg/a.png: {sentence}"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [("", Cell("z.jpg", "depth"), "l.png")],
            "The label is of an unknown image or task. Add the image with",
        ),
        (
            [("", Cell("a.jpg", "dept"), "l.png")],
            "The label is of an unknown image or task. Did you mean 'depth'?",
        ),
        (
            [("r1-ab", Cell("a.jpg", "depth"), "l.png")],
            "The list gives it request r1-ab, which is for [a.jpg, semseg].",
        ),
        (
            [("", Cell("a.jpg", "depth"), "l.png"), ("", Cell("c.jpg", "depth"), "l.png")],
            "Two cells have the path 'l.png'",
        ),
    ],
)
def test_a_list_that_contradicts_the_ledger_or_itself_is_a_fault(
    store: Store, put: Callable[..., Path], rows: list[tuple[str, Cell, str]], sentence: str
) -> None:
    found = faults(store, put("l.png", **{"manifest.json": listed(*rows)}))
    assert len(found) == len(rows) and all(sentence in fault for fault in found)


@pytest.mark.parametrize("text", ["{}", "not json", '[{"image": "a.jpg"}]', "\udcff"])
def test_a_manifest_that_is_none_is_a_fault(
    store: Store, put: Callable[..., Path], text: str
) -> None:
    folder = put("depth/a.png")
    (folder / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    assert faults(store, folder) == [
        "manifest.json: The file is not a request's manifest. Restore the exported one."
    ]


def test_skips_are_read_as_spreadsheets_write_them(store: Store, put: Callable[..., Path]) -> None:
    folder = put(
        **{"skips.csv": '\ufeffrequest_id,reason\r\nr1-aa,"too dark, blurred"\r\n\r\n r1-ca ,\r\n'}
    )
    assert [(skip.cell, skip.where, skip.reason) for skip in got(store, folder).skips] == [
        (Cell("a.jpg", "depth"), "skips.csv line 2", "too dark, blurred"),
        (Cell("c.jpg", "depth"), "skips.csv line 4", ""),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "request_id,reason\nr9-zz,dark\n",
            "skips.csv line 2: The project has no request 'r9-zz'. Check the id.",
        ),
        (
            "r1-aa,dark\n",
            "skips.csv: The first line has no column 'request_id'. Make it request_id,reason.",
        ),
        (
            "request_id\treason\nr1-aa\tdark\n",
            "skips.csv: The first line has no column 'request_id'. Make it",
        ),
    ],
)
def test_skips_that_say_nothing_known_are_faults(
    store: Store, put: Callable[..., Path], text: str, fault: str
) -> None:
    (found,) = faults(store, put("depth/c.png", **{"skips.csv": text}))
    assert found.startswith(fault)


def test_a_folder_without_any_answer_is_refused(
    store: Store, put: Callable[..., Path], tmp_path: Path
) -> None:
    folder = put("images/a.jpg", **{"skips.csv": "request_id,reason\n", "manifest.json": "[]"})
    with pytest.raises(LabelError) as caught:
        got(store, folder)
    assert str(caught.value) == (
        f"There is no answer in the folder: no label, no line in skips.csv ({folder}).\n"
        "  Put labels where its manifest says, or at TASK/IMAGE.png. Nothing was imported."
    )
    with pytest.raises(LabelError, match="There is no such folder"):
        got(store, tmp_path / "nowhere")
    (tmp_path / "labels.zip").touch()
    with pytest.raises(LabelError, match="It is a file, not a folder of labels"):
        got(store, tmp_path / "labels.zip")


def test_a_name_that_is_no_unicode_is_a_fault_that_can_be_printed(
    store: Store, put: Callable[..., Path]
) -> None:
    folder = put("depth/a.png")
    (folder / os.fsdecode(b"depth/\xff.png")).write_text("")
    (fault,) = faults(store, folder)
    assert fault.encode().startswith(b"depth/?.png: The label is of an unknown image or task.")


def test_a_task_named_images_is_answered_in_its_request_and_in_a_folder_of_labels(
    tmp_path: Path, put: Callable[..., Path]
) -> None:
    with Store.create(tmp_path / "images.db") as store:
        (depth,) = task_rows(("depth",))
        store.add_task(replace(depth, name="images"))
        store.add_images([ImageRow(image_id="a.jpg", root="photos", height=4, width=4)])
        cell = Cell("a.jpg", "images")
        store.move([Move(cell=cell, to=State.REQUESTED, round=1, request_id="r1-aa")])
        rows = listed(("r1-aa", cell, "labels/images/a.png"))
        folder = put("images/a.jpg", "labels/images/a.png", **{"manifest.json": rows})
        assert not faults(store, folder)
        assert [answer.cell for answer in got(store, folder).labels] == [cell]
        for name in ("manifest.json", "labels/images/a.png", "images/a.jpg"):
            (folder / name).unlink()
        put("images/a.png")
        assert [answer.cell for answer in got(store, folder).labels] == [cell]
