"""Laws of the evidence about single labels."""

from dataclasses import replace

import numpy as np

from labelgrid.evidence.class_order import class_use
from labelgrid.evidence.doubts import Evidence
from labelgrid.evidence.edge_evidence import OutlineFit
from labelgrid.evidence.label_comparison import (
    blamed,
    edge_evidence_of,
    slope_evidence,
)
from labelgrid.evidence.label_doubt import LIMITS
from labelgrid.evidence.label_evidence import (
    figure_evidence,
    order_evidence,
    repetition_evidence,
)
from labelgrid.evidence.label_summary import Summary
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.figures import LabelFigure

COVERS = ["labelgrid.evidence.label_comparison"]
DEPTH, NORMALS = (Cell("a.png", task) for task in ("depth", "normals"))


def test_a_label_that_agrees_only_when_it_is_turned_is_worse_than_one_that_never_does() -> None:
    never = edge_evidence_of(OutlineFit(0.3, 1.0, "upside down"))
    mirrored = edge_evidence_of(OutlineFit(0.3, 6.0, "mirrored left to right"))
    assert mirrored.value > never.value and "mirrored left to right (6.0)" in mirrored.text


def test_a_symmetric_label_that_agrees_as_it_lies_is_not_called_mirrored() -> None:
    symmetric = edge_evidence_of(OutlineFit(12.0, 14.4, "mirrored left to right"))
    assert symmetric.value == -12.0 and "mirrored" not in symmetric.text


def test_slopes_are_compared_with_those_of_the_other_labels_of_the_image() -> None:
    slope = np.ones((20, 20, 2), np.int8)
    depth, normals = Summary(slope=slope), Summary(slope=-slope)
    found = slope_evidence({DEPTH: depth, NORMALS: normals}, {})
    assert found[DEPTH].value == found[NORMALS].value == 1.0
    assert found[DEPTH].text == (
        "its slopes contradict normals of the same image (agreement -1.00)"
    )
    flat = replace(normals, slope=np.zeros_like(slope))
    assert slope_evidence({DEPTH: depth, NORMALS: flat}, {}) == {}
    assert slope_evidence({DEPTH: depth}, {}) == {}
    assert slope_evidence({DEPTH: depth, NORMALS: replace(normals, slope=slope[:9])}, {}) == {}


def test_of_two_labels_that_contradict_each_other_the_one_off_the_images_edges_is_blamed() -> None:
    follows = Evidence(-6.0, "")
    strays = Evidence(-0.2, "")
    both = [DEPTH, NORMALS]
    assert blamed(both, {DEPTH: strays, NORMALS: follows}) == [DEPTH]
    assert blamed(both, {NORMALS: strays}) == [NORMALS]
    for unsure in ({}, {DEPTH: follows, NORMALS: follows}, {DEPTH: strays, NORMALS: strays}):
        assert blamed(both, unsure) == both
    slope = np.ones((20, 20, 2), np.int8)
    labels = {DEPTH: Summary(slope=slope), NORMALS: Summary(slope=-slope)}
    assert slope_evidence(labels, {DEPTH: strays, NORMALS: follows}).keys() == {DEPTH}


def metres(value: float) -> dict[str, LabelFigure]:
    figure = LabelFigure(value=value, tolerance=5.0, ratio=True, unit=" m")
    return {"the median depth": figure}


def test_a_figure_far_from_the_usual_is_named_with_it() -> None:
    labels = {Cell(f"{number}.png", "depth"): metres(2.0 + number / 10) for number in range(9)}
    labels[DEPTH] = metres(2400.0)
    found = figure_evidence(labels)
    assert max(found, key=lambda cell: found[cell].value) == DEPTH
    assert found[DEPTH].text == "the median depth is 2.4e+03 m (usually 2.4 m)"
    assert max(one.value for cell, one in found.items() if cell != DEPTH) < 1


def test_figures_of_few_labels_say_nothing() -> None:
    assert figure_evidence({DEPTH: metres(2.0), Cell("b.png", "depth"): metres(2000.0)}) == {}


def test_one_file_for_several_images_is_named_unless_the_images_are_one() -> None:
    cells = [Cell(f"{name}.png", "depth") for name in "abc"]
    digests = dict(zip(cells, ("f0", "f0", "f1"), strict=True))
    contents = {"a.png": "i0", "b.png": "i1", "c.png": "i2"}
    found = repetition_evidence(digests, contents)
    assert found.keys() == set(cells[:2])
    assert found[cells[0]].text == "the same file is the label of b.png"
    assert repetition_evidence(digests, {**contents, "b.png": "i0"}) == {}


def test_a_label_whose_classes_are_shifted_by_one_is_told_from_the_others() -> None:
    generator = np.random.default_rng(0)
    names = [f"class {number}" for number in range(6)]
    uses = {}
    for number in range(20):
        index = np.repeat(np.arange(6, dtype=np.int16), (2, 3, 4, 5, 6, 7))[:, None]
        index = np.roll(index + np.zeros((1, 30), np.int16), generator.integers(-1, 2), 0)
        if number == 7:
            index = (index + 1) % 6
        uses[Cell(f"{number}.png", "semseg")] = class_use([index], 6)
    found = order_evidence(uses, names)
    value = found[Cell("7.png", "semseg")].value
    assert (
        value
        > LIMITS["class order"]
        > max(found[cell].value for cell in uses if cell.image_id != "7.png")
    )
    assert "'class 5' like 'class 4'" in found[Cell("7.png", "semseg")].text
    assert order_evidence(dict(list(uses.items())[:7]), names) == {}
