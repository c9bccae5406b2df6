"""Texts of tools are read as the computers of their users write them, or the cure is named."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate.import_options import ImportOptions, read_names
from labelgrid.basics.encodings import UnknownEncodingError, begin, decode, words_in
from labelgrid.basics.errors import LabelgridError
from labelgrid.images.listing import read_list
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import State, TaskRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.task_spec import task_row
from tests.campaigns import make_project
from tests.support import make_dataset

#: The second of two classes, and the encodings in which computers write it.
NAMES = {
    "椅子": ("gb18030", "utf-16", "utf-16-le", "utf-8-sig"),
    "いす": ("cp932", "utf-16"),
    "의자": ("cp949", "utf-16"),
    "Stühle": ("cp1252", "utf-16", "utf-8-sig"),
    "стулья": ("cp1251", "utf-16"),
}
CASES = [(name, encoding) for name, encodings in NAMES.items() for encoding in encodings]
SQUARE = [[2.0, 2.0], [9.0, 2.0], [9.0, 6.0], [2.0, 6.0]]
FLAT = [number for point in SQUARE for number in point]
HEIGHT, WIDTH = SIZE = (8, 12)
IMAGE = {"id": 1, "file_name": "0000.jpg", "height": HEIGHT, "width": WIDTH}


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(SIZE, np.uint8)
    pixels[2:6, 2:9] = 1
    Image.fromarray(pixels).save(path)


def labelme(out: Path, name: str) -> dict[str, str]:
    shapes = [{"label": name, "points": SQUARE, "shape_type": "polygon"}]
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"0000.json": as_json({"shapes": shapes, "imagePath": "0000.jpg", **size})}


def coco(out: Path, name: str) -> dict[str, str]:
    annotation = {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [FLAT]}
    categories = [{"id": 7, "name": name}]
    data = {"images": [IMAGE], "annotations": [annotation], "categories": categories}
    return {"a.json": as_json(data)}


def panoptic(out: Path, name: str) -> dict[str, str]:
    (out / "a").mkdir()
    ids = np.zeros((*SIZE, 3), np.uint8)
    ids[2:6, 2:9, 0] = 1
    Image.fromarray(ids).save(out / "a" / "0000.png")
    segments = [{"id": 1, "category_id": 7}]
    annotation = {"image_id": 1, "file_name": "0000.png", "segments_info": segments}
    categories = [{"id": 7, "name": name}]
    data = {"images": [IMAGE], "annotations": [annotation], "categories": categories}
    return {"a.json": as_json(data)}


def label_studio(out: Path, name: str) -> dict[str, str]:
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in SQUARE]
    region = {
        "type": "polygonlabels",
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "value": {"points": points, "polygonlabels": [name]},
    }
    annotation = {"id": 1, "completed_by": 1, "was_cancelled": False, "result": [region]}
    return {
        "a.json": as_json([{"id": 1, "annotations": [annotation], "data": {"image": "0000.jpg"}}])
    }


def cvat(out: Path, name: str, declaration: str = "") -> dict[str, str]:
    points = ";".join(f"{x},{y}" for x, y in SQUARE)
    polygon = f'<polygon label="{name}" points="{points}"/>'
    image = f'<image id="0" name="0000.jpg" width="{WIDTH}" height="{HEIGHT}">{polygon}</image>'
    return {"annotations.xml": f"{declaration}<annotations><meta/>{image}</annotations>"}


def voc(out: Path, name: str) -> dict[str, str]:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[2:6, 2:9, 0] = 128
    (out / "SegmentationClass").mkdir()
    Image.fromarray(pixels).save(out / "SegmentationClass" / "0000.png")
    return {"labelmap.txt": f"{name}:128,0,0::\n"}


def class_masks(out: Path, name: str) -> dict[str, str]:
    mask(out / "a.png")
    return {"labels.csv": f"image,task,path,class\n0000.jpg,semseg,a.png,{name}\n"}


TOOLS = (labelme, coco, panoptic, label_studio, cvat, voc, class_masks)
Tool = Callable[[Path, str], dict[str, str]]


def as_json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False)


def project_of(tmp_path: Path, name: str) -> ProjectFolder:
    made = make_dataset(tmp_path / "made", n=2, size=SIZE, tasks=())
    project = make_project(tmp_path / "project", made)
    project.store.add_task(TaskRow("semseg", "semseg", 1.0, {"classes": ["other", name]}))
    return project


def delivery(tmp_path: Path, tool: Tool, name: str, encoding: str) -> Path:
    out = tmp_path / f"delivery-{encoding}"
    out.mkdir()
    for file, text in tool(out, name).items():
        (out / file).write_bytes(text.encode(encoding))
    return out


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
@pytest.mark.parametrize(("name", "encoding"), CASES)
def test_every_tool_s_texts_are_read_as_computers_write_them(
    tmp_path: Path, tool: Tool, name: str, encoding: str
) -> None:
    project = project_of(tmp_path, name)
    done = import_labels(project, delivery(tmp_path, tool, name, encoding), accept=True)
    assert done.tasks["semseg"].new == 1
    (row,) = project.store.cells(state=State.LABELLED)
    label = project.tasks()["semseg"].read(project.inside(row.path))
    assert label.valid[3, 4] and (label.value[label.valid] == 1).all()
    said = [note for note in done.notes if "no UTF-8" in note]
    is_unicode = encoding == "utf-8-sig" or (tool is cvat and encoding.startswith("utf-16"))
    assert len(said) == (not is_unicode) and all(encoding in note for note in said)


@pytest.mark.parametrize("encoding", ["gb18030", "cp932", "cp1252"])
def test_an_xml_file_says_its_encoding_itself(tmp_path: Path, encoding: str) -> None:
    name = "Stühle" if encoding == "cp1252" else "椅子"
    project = project_of(tmp_path, "椅子")
    out = tmp_path / "delivery"
    out.mkdir()
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    text = cvat(out, name, declaration)["annotations.xml"]
    (out / "annotations.xml").write_bytes(text.encode(encoding))
    options = ImportOptions(names={"Stühle": "椅子"})
    done = import_labels(project, out, accept=True, options=options)
    assert done.tasks["semseg"].new == 1


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
@pytest.mark.parametrize(("name", "encoding"), [("椅子", "gb18030"), ("Stühle", "cp1252")])
def test_where_no_known_word_says_the_encoding_the_refusal_names_the_command_that_converts(
    tmp_path: Path, tool: Tool, name: str, encoding: str
) -> None:
    project = project_of(tmp_path, "chair")
    out = delivery(tmp_path, tool, name, encoding)
    with pytest.raises(LabelgridError) as error:
        import_labels(project, out)
    command = f"iconv -f {encoding} -t utf-8 FILE > NEW"
    assert command in str(error.value) and "Export it again" not in str(error.value)
    (file,) = [path.name for path in out.iterdir() if path.is_file() and path.suffix != ".png"]
    converted = command.replace("FILE", f"'{out / file}'").replace("NEW", f"'{tmp_path / 'new'}'")
    subprocess.run(converted, shell=True, check=True)
    shutil.move(tmp_path / "new", out / file)
    options = ImportOptions(names={name: "chair"})
    done = import_labels(project, out, accept=True, options=options)
    assert done.tasks["semseg"].new == 1


def test_a_folder_s_lists_are_read_in_the_encodings_of_spreadsheets(tmp_path: Path) -> None:
    for number, (encoding, separator) in enumerate([("utf-16", "\t"), ("gb18030", ",")]):
        project = project_of(tmp_path / str(number), "椅子")
        out = tmp_path / f"out{number}"
        mask(out / "picture_椅子.png")
        lines = [("image", "task", "path"), ("0000.jpg", "semseg", "picture_椅子.png")]
        text = "".join(f"{separator.join(line)}\n" for line in lines)
        (out / "labels.csv").write_bytes(text.encode(encoding))
        assert import_labels(project, out, format="folder", accept=True).tasks["semseg"].new == 1


def test_own_lists_are_utf_8_or_utf_16_or_name_the_command(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes("背景\n椅子\n".encode("utf-16"))
    assert task_row(f"semseg:{path}").options["classes"] == ["背景", "椅子"]
    path.write_bytes("背景\n椅子\n".encode("gb18030"))
    with pytest.raises(LabelgridError, match="iconv -f gb18030 -t utf-8"):
        task_row(f"semseg:{path}")
    (tmp_path / "list.txt").write_bytes("椅子.jpg\n".encode("utf-16"))
    assert read_list(tmp_path / "list.txt") == ["椅子.jpg"]
    (tmp_path / "list.txt").write_bytes("椅子.jpg\n".encode("gb18030"))
    with pytest.raises(LabelgridError, match="iconv -f gb18030 -t utf-8"):
        read_list(tmp_path / "list.txt")
    (tmp_path / "map.txt").write_bytes("стул=chair\n".encode("cp1251"))
    with pytest.raises(LabelgridError, match=r"iconv -f \w+ -t utf-8 .* cp1251 in"):
        read_names(str(tmp_path / "map.txt"))


def test_what_is_damaged_is_not_read_in_another_encoding() -> None:
    data = bytearray("{'name': '椅子', 'other': '背景'}".encode())
    data[-3] = 0xFF
    with pytest.raises(UnknownEncodingError):
        decode(bytes(data), words_in(["椅子"]))
    assert begin(bytes(data)) == bytes(data)


def test_words_of_two_encodings_say_none() -> None:
    data = "椅子".encode("gb18030")
    words = words_in(["椅子", data.decode("cp1252")])
    with pytest.raises(UnknownEncodingError, match="0xd2 at position 0") as error:
        decode(data, words)
    assert "gb18030" in error.value.advice and "cp1252" in error.value.advice
