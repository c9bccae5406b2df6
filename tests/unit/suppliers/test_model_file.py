"""Laws of descriptions of models: the given ones are read as they are, and sizes are as they say."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import ModelError, RecipeError
from labelgrid.suppliers.model_file import (
    ModelResize,
    model_digest,
    model_path,
    read_model_file,
)
from tests.models import depth_model, description, write_toml
from tests.real_models import MODELS, needs_models


@pytest.mark.parametrize(
    ("rule", "image", "size"),
    [
        ("none: the image at its own size", (251, 333), (251, 333)),
        ("stretch to height 192, width 320 (aspect not kept)", (99, 1), (192, 320)),
        ("longer side to 513, the other in proportion, rounded to 16k+1", (240, 320), (385, 513)),
        ("longer side to 513, the other in proportion, rounded to 16k+1", (640, 480), (513, 385)),
        ("longer side to 518, the other in proportion, rounded to 14k", (240, 320), (392, 518)),
        ("longer side to 100, the other in proportion", (1, 1000), (1, 100)),
        ("multiples of 16", (250, 7), (256, 16)),
    ],
)
def test_the_size_at_the_input_is_what_the_rule_says(
    rule: str, image: tuple[int, int], size: tuple[int, int]
) -> None:
    assert ModelResize(rule=rule).size(image) == size


@needs_models
@pytest.mark.parametrize("name", ["classes", "depth", "edges", "saliency"])
def test_a_given_description_is_read_as_it_is(name: str) -> None:
    (path,) = MODELS.glob(f"{name}-*.toml")
    model = read_model_file(path)
    assert model.task == name and model.stated_licence and model.origin
    assert len(model_digest(model_path(path, model), path, model)) == 64


def test_several_outputs_are_several_tables(tmp_path: Path) -> None:
    outputs = [{"name": "a", "task": "depth"}, {"name": "b", "task": "normals"}]
    path = write_toml(tmp_path / "m.toml", description("m.onnx", "", output=outputs))
    assert [output.task for output in read_model_file(path).output] == ["depth", "normals"]


def test_a_description_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not exist") as refused:
        read_model_file(tmp_path / "none.toml")
    assert refused.value.unchanged == "No label was made."


def test_the_file_is_looked_for_beside_the_description(tmp_path: Path) -> None:
    path = depth_model(tmp_path / "models")
    model = read_model_file(path)
    assert model_path(path, model) == (tmp_path / "models/depth.onnx").resolve()
    (tmp_path / "linked").symlink_to(tmp_path / "models")  # the folder itself may be a link
    assert model_path(tmp_path / "linked/depth.toml", model)
    (tmp_path / "models/depth.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        model_path(path, model)
