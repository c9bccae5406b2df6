"""The laws of every maker of partitions, each with a wrong maker that breaks it."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import PluginError
from labelgrid.formats.arrays import save_array
from labelgrid.regions.maker import ImageToDivide
from labelgrid.testing.laws import NotForItError, Subject
from labelgrid.testing.partitions import LAWS, PartitionCase, case_of
from tests.contracts import wrong_partitions
from tests.contracts.wrong_partitions import BREAKS

COVERS = ["labelgrid.regions.maker", "labelgrid.testing.partitions"]


class Told:
    """What the laws are told of makers that need files."""

    @staticmethod
    def options(folder: Path, images: dict[str, Any]) -> dict[str, Any]:
        for image_id, pixels in images.items():
            read = partial(np.asarray, pixels)
            image = ImageToDivide(image_id=image_id, size=pixels.shape[:2], read=read)
            path = image.path(folder, ".npy")
            path.parent.mkdir(exist_ok=True, parents=True)
            save_array(path, pixels[..., 0].astype(np.int32) // 64)
        return {"folder": str(folder)}


def case_at(name: str, place: Path) -> PartitionCase:
    told = Told if name == "files" else None
    return case_of(Subject("partitions", name, told), place)


@pytest.mark.parametrize(
    "name", [*plugins.names("partitions"), "tests.plugins.colour_halves:build"]
)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_maker_keeps(law: Callable[[PartitionCase], None], name: str, tmp_path: Path) -> None:
    with suppress(NotForItError):
        law(case_at(name, tmp_path))


def test_every_law_has_a_maker_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(BREAKS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_wrong_maker_is_told_what_the_law_expects(
    law: Callable[[PartitionCase], None], tmp_path: Path
) -> None:
    wrong, words = BREAKS[law.__name__]
    with pytest.raises(AssertionError, match=words):
        law(case_at(f"{wrong_partitions.__name__}:{wrong.__name__}", tmp_path))


def test_the_laws_ask_for_options_that_have_no_default(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="`options`, a function of a folder"):
        case_of(Subject("partitions", "files"), tmp_path)
