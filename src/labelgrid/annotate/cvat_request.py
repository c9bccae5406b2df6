"""Writes what CVAT is given: the labels of a task, and the images with predicted regions and tags.

The tag of an image carries its request through CVAT and back.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from labelgrid.annotate.cvat_xml import AUTO
from labelgrid.annotate.drawing_requests import box_of, predicted_regions
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.type_names import Json
from labelgrid.formats.cvat_runs import encode_runs
from labelgrid.tasks.task import TaskDef

#: The label of the tag, and the names of its attributes.
TAG = "labelgrid"
REQUEST_ID = "request_id"
DONE = "done"
SKIP = "skip"
#: The type and the default value of each attribute.
_ATTRIBUTES = {REQUEST_ID: ("text", ""), DONE: ("checkbox", "false"), SKIP: ("text", "")}
_TAG_COLOUR = "#808080"
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def labels_text(task: TaskDef) -> str:
    """The labels of a task in JSON, for CVAT's form of raw labels, with the project's colours."""
    labels: list[Json] = []
    for name, colour in zip(task.region_names, task.region_colours.tolist(), strict=True):
        code = f"#{bytes(colour).hex()}"
        labels.append({"name": name, "color": code, "type": "any", "attributes": []})
    attributes = []
    for name, (input_type, value) in _ATTRIBUTES.items():
        attributes.append(
            {
                "name": name,
                "mutable": False,
                "input_type": input_type,
                "default_value": value,
                "values": [value],
            }
        )
    labels.append({"name": TAG, "color": _TAG_COLOUR, "type": "tag", "attributes": attributes})
    return json.dumps(labels, indent=1, ensure_ascii=False) + "\n"


def annotations_text(request: Request, task: TaskDef, items: Sequence[RequestItem]) -> str:
    """The annotations of requested cells of one task, in XML.

    Each image has the tag of its request, and, where there is a prediction, a mask a class.

    Raises:
        ProjectError: XML cannot hold the name of an image or a class.
    """
    root = ElementTree.Element("annotations")
    _add(root, "version", "1.1")
    _add_meta(root, task, len(items))
    for number, item in enumerate(items):
        name = request.names[item.cell.image_id]
        height, width = request.sizes[item.cell.image_id]
        attributes = {"id": str(number), "name": name, "width": str(width), "height": str(height)}
        image = ElementTree.SubElement(root, "image", attributes)
        if item.cell in request.prelabels:
            _add_masks(image, task, request.prelabels[item.cell])
        tag = ElementTree.SubElement(image, "tag", label=TAG, source="manual")
        for key, (_, value) in _ATTRIBUTES.items():
            attribute = ElementTree.SubElement(tag, "attribute", name=key)
            attribute.text = item.request_id if key == REQUEST_ID else value
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    wrong = _NOT_XML.search(text)
    if wrong:
        raise ProjectError(
            f"A name of an image or a class has the character {wrong[0]!a}, which XML cannot hold.",
            next_step="Use --to folder.",
        )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add_meta(root: ElementTree.Element, task: TaskDef, count: int) -> None:
    meta = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    _add(meta, "name", task.name)
    _add(meta, "size", str(count))
    _add(meta, "mode", "annotation")
    labels = ElementTree.SubElement(meta, "labels")
    for row in json.loads(labels_text(task)):
        label = ElementTree.SubElement(labels, "label")
        for key in ("name", "color", "type"):
            _add(label, key, row[key])
        attributes = ElementTree.SubElement(label, "attributes")
        for entry in row["attributes"]:
            attribute = ElementTree.SubElement(attributes, "attribute")
            for key in ("name", "mutable", "input_type", "default_value"):
                _add(attribute, key, str(entry[key]))
            _add(attribute, "values", "\n".join(entry["values"]))


def _add_masks(image: ElementTree.Element, task: TaskDef, prelabel: Path) -> None:
    for name, mask in predicted_regions(task, prelabel):
        rows, columns = box_of(mask)
        box = mask[rows, columns]
        height, width = box.shape
        element = ElementTree.SubElement(image, "mask", label=name, source=AUTO, occluded="0")
        element.set("rle", encode_runs(box))
        element.set("left", str(columns.start))
        element.set("top", str(rows.start))
        element.set("width", str(width))
        element.set("height", str(height))
        element.set("z_order", "0")


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = text
