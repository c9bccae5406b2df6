"""Unusable labels are refused: every fault has a clear message, and nothing is imported."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.e2e.commands import answer, cells, done, refused
from tests.support import Made

Copied = Callable[[str], Path]
SIZE = (32, 64)
DEPTH = np.full(SIZE, 1000, np.uint16)
CLASSES = np.ones(SIZE, np.uint8)
WRONG = CLASSES.copy()
WRONG[:2, 5] = 9
PARTLY = np.ones(SIZE, np.float32)
PARTLY[0, :3] = (np.nan, np.inf, -1)

#: Fault -> the file, its content, and the message.
BAD: dict[str, tuple[str, Any, str]] = {
    "0 bytes": (
        "depth/0000.png",
        b"",
        "[0000.jpg, depth]: The label file is empty: 0 bytes. Export it again.",
    ),
    "another size": (
        "depth/0000.png",
        DEPTH[1:],
        "[0000.jpg, depth]: The label is 31x64, its image is 32x64 (height x width). "
        "Make it at the image's size, upright.",
    ),
    "a class that is none": (
        "semseg/0000.png",
        WRONG,
        "[0000.jpg, semseg]: It holds indices without a class: 9 (2 pixels): its 4 classes are 0 to 3. "
        "Fix the label; or add the 6 missing classes to `classes`, in the order of their indices; or declare the "
        "numbers that mean 'not labelled': `ignore = [9]`. In this project: "
        "`labelgrid task FLAT semseg --set 'ignore=[9]'`.",
    ),
    "8-bit depth": (
        "depth/0000.png",
        CLASSES,
        "[0000.jpg, depth]: The depth is 32x64 uint8, and its scale is not declared. "
        "Write a 16-bit PNG of millimetres, or declare the scale of all the task's labels in metres per step, "
        'such as `scale = 0.01`; usual are 1, 0.001, "1/256", 0.01, "1/5000". In this project: '
        "`labelgrid task FLAT depth --set scale=0.01`.",
    ),
    "depth that is nowhere a number": (
        "depth/0000.npy",
        np.where(PARTLY > 0, np.nan, np.inf).astype(np.float32),
        "[0000.jpg, depth]: All-invalid label: none of its 2048 pixels is valid "
        "(numbers <= 0, NaN and infinite are not). Label the image, or skip the request.",
    ),
    "normals of another length": (
        "normals/0000.npy",
        np.ones((*SIZE, 3), np.float32),
        "[0000.jpg, normals]: 2048 of 2048 normals are not of unit length (within 0.05); the median length is 1.73. "
        "Normalise the vectors, and store them as they are.",
    ),
    "no labelled pixel": (
        "semseg/0000.png",
        np.full(SIZE, 255, np.uint8),
        "[0000.jpg, semseg]: All-invalid label: none of its 2048 pixels is valid (not labelled are 255). "
        "Label the image, or skip the request.",
    ),
    "an image that is not there": (
        "depth/9999.png",
        DEPTH,
        ": The label is of an unknown image or task. Say whose it is in labels.csv, a table of image,task,path; or add "
        "the image with `labelgrid add`, or remove the file.",
    ),
    "a task that is not there": (
        "dept/0000.png",
        DEPTH,
        ": The label is of an unknown image or task. Did you mean 'depth'?",
    ),
}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        assert cv2.imwrite(str(path), content)


def faults(folder: Path, *lines: str, others: bool = True) -> str:
    """The whole error for a folder, in which others are right or not."""
    count, them = (f"{len(lines)} faults", "them") if len(lines) > 1 else ("1 fault", "it")
    return (
        "\n  ".join(
            [
                f"The import has {count} ({folder}).",
                *lines,
                f"Fix {them} and run the same command again.",
                *([f"Or import all others without {them}: add --leave-out."] if others else []),
            ]
        )
        + " Nothing was imported."
    )


@pytest.mark.parametrize(("name", "content", "fault"), BAD.values(), ids=BAD)
def test_one_wrong_label_stops_an_import(
    project: Copied, tmp_path: Path, name: str, content: Any, fault: str
) -> None:
    flat, labels = project("new"), tmp_path / "labels"
    write(labels / "depth" / "0001.png", DEPTH)  # nothing is wrong with this one
    write(labels / name, content)
    space = "" if fault.startswith(":") else " "
    assert refused(tmp_path, "import", flat, labels) == faults(
        labels, f"{name}{space}{fault.replace('FLAT', str(flat))}"
    )


def test_every_fault_of_a_folder_is_listed_at_once(project: Copied, tmp_path: Path) -> None:
    flat, labels = project("new"), tmp_path / "labels"
    bad = [BAD[name] for name in ("0 bytes", "a class that is none", "normals of another length")]
    for name, content, _ in bad:
        write(labels / name, content)
    expected = faults(
        labels,
        *sorted(f"{name} {fault.replace('FLAT', str(flat))}" for name, _, fault in bad),
        others=False,
    )
    assert refused(tmp_path, "import", flat, labels) == expected


def test_single_pixels_of_depth_that_are_no_numbers_are_left_out_and_the_rest_counts(
    project: Copied, tmp_path: Path
) -> None:
    flat = project("new")
    write(tmp_path / "labels" / "depth" / "0000.npy", PARTLY)
    assert "depth: 1 new; " in done("import", flat, tmp_path / "labels").out
    assert cells(flat, "labelled") == {("0000.jpg", "depth")}


def test_a_label_with_other_content_needs_replace_and_the_old_one_is_kept(
    project: Copied, tmp_path: Path
) -> None:
    flat, labels = project("new"), tmp_path / "labels"
    write(labels / "depth" / "0000.png", DEPTH)
    done("import", flat, labels)
    assert "depth: 1 unchanged." in done("import", flat, labels).out
    (kept,) = (flat / "labels" / "depth").iterdir()
    write(labels / "depth" / "0000.png", DEPTH + 1)
    assert refused(tmp_path, "import", flat, labels) == faults(
        labels,
        "depth/0000.png [0000.jpg, depth]: The cell has a label with other content, imported in round 0 "
        f"(labels/depth/{kept.name}). Use --replace to replace it; the old label is kept.",
        others=False,
    )
    assert "depth: 1 replaced; " in done("import", flat, labels, "--replace").out
    assert kept.is_file() and len(list(kept.parent.iterdir())) == 2


def test_a_folder_without_an_answer_is_refused(project: Copied, tmp_path: Path) -> None:
    flat, labels = project("new"), tmp_path / "labels"
    found = refused(tmp_path, "import", flat, labels)
    assert (
        found
        == f"There is no such file or folder ({labels}).\n  Check the path. Nothing was imported."
    )
    labels.mkdir()
    assert refused(tmp_path, "import", flat, labels) == (
        f"There is no answer in the folder: no label, no line in skips.csv ({labels}).\n"
        "  Put labels where its manifest says, or at TASK/IMAGE.png. Nothing was imported."
    )


def test_a_damaged_request_is_refused_whole(project: Copied, data: Made, tmp_path: Path) -> None:
    flat = project("asked")
    request = Path(shutil.copytree(flat / "rounds" / "0001" / "request", tmp_path / "request"))
    (request / "skips.csv").write_text("request_id,reason\nr1-nobody,too dark\n")
    assert refused(tmp_path, "import", flat, request) == faults(
        request, "skips.csv line 2: The project has no request 'r1-nobody'. Check the id."
    )
    (request / "manifest.json").write_text("{}")
    found = refused(tmp_path, "import", flat, request)
    assert (
        "\n  manifest.json: The file is not a request's manifest. Restore the exported one.\n"
        in found
    )


def test_an_image_that_is_gone_is_left_out_of_a_fit_which_says_so(
    project: Copied, data: Made, tmp_path: Path
) -> None:
    images = Path(shutil.copytree(data.images, tmp_path / "photos"))
    flat, recipe = tmp_path / "flat", data.root / "tiny.toml"
    done("init", flat, "--images", images, "--task", "depth", "--recipe", recipe)
    done("query", flat, "--budget", 2)
    done("export", flat)
    answer(flat / "rounds" / "0001" / "request", data)
    done("import", flat, flat / "rounds" / "0001" / "request")
    gone = sorted(image for image, _ in cells(flat, "labelled"))[0]
    (images / gone).unlink()
    found = done("fit", flat)
    assert "Trained on 1 image with 1 depth labels, for round" in found.out
    assert (
        f"1 image is set aside, with its cells, until its file is back ('{gone}': There is no"
        in found.err
    )
    assert (
        f"1 image is set aside, with its cells; the first is '{gone}'" in done("status", flat).out
    )
