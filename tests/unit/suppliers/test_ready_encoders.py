"""Laws of encoders that lie ready: a new project freezes one, unless it was told otherwise."""

from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file

from labelgrid.nets.backbones import Encoder
from labelgrid.project.settings import FEW, RECIPE, Settings, read_settings
from labelgrid.recipes.resolve import load_recipe
from labelgrid.suppliers.ready_encoders import ENCODERS, encoder_text, with_ready_encoder
from tests.commands import run
from tests.support import make_dataset

DINOV3, CONVNEXT, DINOV2 = ENCODERS
LIKE = (
    "vit_small_plus_patch16_dinov3",
    "vit_small_patch16_dinov3_qkvb",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_224",
    "convnext_tiny",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of timm."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_weights(path: Path, model: str, **options: object) -> Path:
    """Write random weights of one of timm's models, of which only shapes count."""
    path.parent.mkdir(exist_ok=True)
    with torch.device("meta"):
        state = timm.create_model(model, **options).state_dict()
    save_file(
        {key: torch.zeros(value.shape, dtype=torch.int8) for key, value in state.items()}, path
    )
    return path


def fill_cache(cache: Path, name: str) -> None:
    folder = cache / f"models--timm--{name}" / "snapshots" / "1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x")


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_a_given_file_is_known_by_its_tensors_and_frozen(tmp_path: Path, encoder) -> None:
    model = encoder.name.partition(".")[0]
    path = write_weights(tmp_path / "any.safetensors", model, num_classes=0)
    settings = with_ready_encoder(Settings(weights=str(path)), tmp_path / "flat")
    assert settings.recipe == FEW and settings.weights == str(path)
    backbone = load_recipe(settings.recipe, settings.changes).backbone
    assert (backbone.name, backbone.train) == (encoder.name, "frozen")
    assert backbone.fused == load_recipe(FEW).backbone.fused
    assert timm.get_pretrained_cfg(encoder.name).license == encoder.licence


@pytest.mark.parametrize("model", LIKE)
def test_files_of_similar_models_are_other_weights(tmp_path: Path, model: str) -> None:
    path = write_weights(tmp_path / "any.safetensors", model)
    settings = Settings(weights=str(path))
    assert with_ready_encoder(settings, tmp_path / "flat") is settings
    assert encoder_text(settings, tmp_path / "flat") == ""


def test_a_file_that_was_cut_short_is_not_chosen(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "any.safetensors", DINOV2.name.partition(".")[0], num_classes=0)
    path.write_bytes(path.read_bytes()[:-1])
    settings = Settings(weights=str(path))
    assert with_ready_encoder(settings, tmp_path / "flat") is settings


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"name": "mtan"}},
        {"network": {"name": "segnet"}},
        {"train": {"mix": "cutmix"}},
        {"terms": {"crop": {}}},
    ],
    ids=str,
)
def test_changes_that_need_an_encoder_that_is_not_frozen_keep_the_recipe(
    tmp_path: Path, cache: Path, changes: dict[str, Any]
) -> None:
    fill_cache(cache, DINOV3.name)
    settings = Settings(changes=changes)
    assert with_ready_encoder(settings, tmp_path / "flat") is settings


def test_another_backbone_needs_no_hint(tmp_path: Path) -> None:
    settings = Settings(changes={"backbone": {"name": "resnet18"}})
    assert encoder_text(settings, tmp_path / "flat") == ""


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
@pytest.mark.parametrize("size", [(48, 64), (40, 56)])
def test_each_encoder_works_with_random_weights_at_any_size(encoder, size) -> None:
    recipe = load_recipe(FEW, {"backbone": {**encoder.changes().get("backbone", {})}})
    torch.manual_seed(0)
    options = {"name": recipe.backbone.name, "train": recipe.backbone.train, "fused": 8}
    made = Encoder(type(recipe.backbone)(pretrained=False, pyramid=8, **options)).train()
    features = made(torch.rand(2, 3, *size))
    assert features.shared.shape == (2, 8, size[0] // 4, size[1] // 4)
    features.shared.sum().backward()
    assert all(value.grad is None for value in made.given.parameters())
    assert made.mix is not None and made.mix[0].weight.grad is not None


def test_the_cache_and_the_folder_of_models_are_looked_through_in_the_order_of_encoders(
    tmp_path: Path, cache: Path
) -> None:
    flat = tmp_path / "flat"
    assert with_ready_encoder(Settings(), flat).recipe == RECIPE
    path = write_weights(
        tmp_path / "models/a.safetensors", "vit_small_patch14_dinov2", num_classes=0
    )
    assert with_ready_encoder(Settings(), flat).weights == str(path)
    fill_cache(cache, CONVNEXT.name)
    found = with_ready_encoder(Settings(), flat)
    assert found.weights == "" and found.changes["backbone"]["name"] == CONVNEXT.name
    fill_cache(cache, DINOV3.name)
    found = with_ready_encoder(Settings(), flat)
    assert (found.recipe, found.weights, found.changes) == (FEW, "", {})
    own = Settings(changes={"backbone": {"pretrained": False}})
    assert with_ready_encoder(own, flat) is own


def test_init_says_which_encoder_was_chosen_or_what_it_takes_with_both_licences(
    tmp_path: Path, cache: Path
) -> None:
    make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    words = ("--images", tmp_path / "made/images", "--task", "depth")
    said = run("init", tmp_path / "a", *words)
    assert f"hf download timm/{DINOV3.name} model.safetensors" in said
    assert "dinov3-license" in said and "apache-2.0" in said
    assert f"labelgrid fit {tmp_path}/a --recipe few" in said
    assert read_settings(tmp_path / "a/labelgrid.toml").recipe == RECIPE
    fill_cache(cache, DINOV3.name)
    said = run("init", tmp_path / "b", *words)
    assert (
        f"The recipe is few: {DINOV3} lies ready. Where this licence does not fit: {DINOV2}."
        in said
    )
    assert read_settings(tmp_path / "b/labelgrid.toml").recipe == FEW
    said = run("init", tmp_path / "c", *words, "--recipe", RECIPE)
    assert "recipe few" not in said and "is few" not in said
    assert read_settings(tmp_path / "c/labelgrid.toml").recipe == RECIPE
