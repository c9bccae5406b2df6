"""Laws of encoders that lie ready: a new project freezes one, unless it was told otherwise."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from labelgrid.api.project import Project
from labelgrid.basics import plugins
from labelgrid.basics.errors import ModelError
from labelgrid.nets.backbones import Encoder
from labelgrid.project.overrides import override_tables
from labelgrid.project.settings import AUTO, FEW, RECIPE, Settings, read_settings
from labelgrid.recipes.resolve import check_recipe, has_own_encoder, load_recipe, override
from labelgrid.suppliers.ready_encoders import (
    ENCODERS,
    KnownEncoder,
    encoder_text,
    with_ready_encoder,
)
from tests.commands import run, values
from tests.support import make_dataset

DINOV3, CONVNEXT, DINOV2 = ENCODERS
LIKE = (
    "vit_small_plus_patch16_dinov3",
    "vit_small_patch16_dinov3_qkvb",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_224",
    "convnext_tiny",
    "convnext_tiny_hnf",
)
UNFIT: list[dict[str, Any]] = [
    {"network": {"name": "mtan"}},
    {"network": {"name": "segnet"}},
    {"train": {"mix": "class"}},
    {"train": {"compile": True}},
    {"terms": {"learning_loss": {}}},
    {"train": {"stepz": 3}},
]


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
    name = encoder.name if encoder.shares else "any"
    path = write_weights(tmp_path / f"{name}.safetensors", model, num_classes=0)
    settings = with_ready_encoder(Settings(weights=str(path)), tmp_path / "flat")
    assert settings.recipe == FEW and settings.weights == str(path)
    backbone = load_recipe(settings.recipe, settings.changes).backbone
    assert (backbone.name, backbone.train) == (encoder.name, "frozen")
    assert backbone.fused == load_recipe(FEW).backbone.fused
    assert timm.get_pretrained_cfg(encoder.name).license == encoder.licence


@pytest.mark.parametrize("options", [{}, {"num_classes": 0}], ids=["whole", "headless"])
@pytest.mark.parametrize("model", LIKE)
def test_files_of_similar_models_are_other_weights(
    tmp_path: Path, model: str, options: dict[str, int]
) -> None:
    path = write_weights(tmp_path / "any.safetensors", model, **options)
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
def test_a_file_is_known_without_its_name_only_where_no_other_weights_have_its_tensors(
    tmp_path: Path, encoder: KnownEncoder
) -> None:
    model = encoder.name.partition(".")[0]
    others = [name for name in timm.list_models(pretrained=True) if name != encoder.name]
    alike = [name for name in others if name.partition(".")[0] == model]
    assert encoder.shares == bool(alike)
    path = write_weights(tmp_path / "model.safetensors", model, num_classes=0)
    assert encoder.is_in(path) != encoder.shares
    hub = tmp_path / f"models--timm--{encoder.name}"
    hub.mkdir()
    assert encoder.is_in(path.rename(hub / path.name))


@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_a_tensor_more_or_less_makes_another_file(tmp_path: Path, encoder: KnownEncoder) -> None:
    path = tmp_path / f"{encoder.name}.safetensors"
    write_weights(path, encoder.name.partition(".")[0], num_classes=0)
    state = load_file(path)
    assert encoder.is_in(path)
    for change in ({"more": torch.zeros(1)}, {"norm.weight": torch.zeros(1)}):
        save_file({**state, **change}, path)
        assert not encoder.is_in(path)
    del state[min(state)]
    save_file(state, path)
    assert not encoder.is_in(path)


def test_a_file_that_is_cut_off_lies_not_ready_and_is_refused_where_it_is_given(
    tmp_path: Path,
) -> None:
    path = write_weights(
        tmp_path / "models/a.safetensors", "vit_small_patch14_dinov2", num_classes=0
    )
    assert with_ready_encoder(Settings(), tmp_path / "flat").recipe == FEW
    path.write_bytes(path.read_bytes()[:-1])
    assert with_ready_encoder(Settings(), tmp_path / "flat").recipe == RECIPE
    make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    images = tmp_path / "made/images"
    with pytest.raises(ModelError, match=r"cut off.*a\.safetensors(?s:.*)Nothing was made"):
        run("init", tmp_path / "flat", "--images", images, "--task", "depth", "--weights", path)
    assert not (tmp_path / "flat").exists()


@pytest.mark.parametrize("changes", UNFIT, ids=str)
def test_few_is_neither_chosen_nor_named_beside_changes_that_it_refuses_or_that_keep_no_maps(
    tmp_path: Path, cache: Path, changes: dict[str, Any]
) -> None:
    settings = Settings(changes=changes)
    assert encoder_text(settings, tmp_path / "flat") == ""
    fill_cache(cache, DINOV3.name)
    assert with_ready_encoder(settings, tmp_path / "flat") is settings


@pytest.mark.parametrize("network", plugins.names("networks"))
def test_few_is_chosen_beside_every_network_with_which_its_recipe_can_be_trained(
    tmp_path: Path, cache: Path, network: str
) -> None:
    fill_cache(cache, CONVNEXT.name)
    own = Settings(changes={"network": {"name": network}, "train": {"steps": 50}})
    chosen = with_ready_encoder(own, tmp_path / "flat")
    assert (chosen.recipe == FEW) != has_own_encoder(network)
    recipe = load_recipe(chosen.recipe, chosen.changes)
    check_recipe(recipe)
    assert recipe.network.name == network and recipe.train.steps == 50
    assert recipe.keeps_maps == (chosen.recipe == FEW)


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
    assert f"The recipe is few: {DINOV3} lies ready. Where this" in said
    assert read_settings(tmp_path / "b/labelgrid.toml").recipe == FEW
    assert run("init", tmp_path / "c", *words, "--recipe", AUTO).count("The recipe is few") == 1
    assert read_settings(tmp_path / "c/labelgrid.toml").recipe == FEW
    said = run("init", tmp_path / "d", *words, "--recipe", RECIPE)
    assert "recipe few" not in said and "is few" not in said
    assert read_settings(tmp_path / "d/labelgrid.toml").recipe == RECIPE


def test_init_names_no_encoder_where_one_was_named(tmp_path: Path) -> None:
    make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    words = ("--images", tmp_path / "made/images", "--task", "depth")
    said = run("init", tmp_path / "a", *words, "--set", "backbone.name=mobilenetv2_100")
    assert "few" not in said and "hf download" not in said


@pytest.mark.parametrize("ready", ["nothing", "cache", "file"])
def test_commands_are_printed_that_freeze_the_encoder_of_the_other_licence(
    tmp_path: Path, cache: Path, ready: str
) -> None:
    settings = Settings()
    if ready == "file":
        path = write_weights(tmp_path / "a.safetensors", "vit_small_patch16_dinov3", num_classes=0)
        settings = Settings(weights=str(path))
    elif ready == "cache":
        fill_cache(cache, DINOV3.name)
    settings = with_ready_encoder(settings, tmp_path / "flat")
    said = encoder_text(settings, tmp_path / "flat")
    (other,) = re.findall("Where this licence does not fit, (.*)", said)
    assert other.startswith(f"{DINOV2}: ") and f"`hf download timm/{DINOV2.name} " in other
    assert ('`weights = ""`' in other) == (ready == "file")
    (*_, typed) = re.findall("`(labelgrid fit [^`]*)`", said)
    words = shlex.split(typed)
    pairs = [words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set"]
    changes = {key: json.loads(value) for key, value in pairs}
    recipe = words[words.index("--recipe") + 1] if "--recipe" in words else settings.recipe
    tables = override(settings.changes, override_tables(changes))
    backbone = load_recipe(recipe, tables).backbone
    few = load_recipe(FEW).backbone
    assert (backbone.name, backbone.train) == (DINOV2.name, "frozen")
    assert (backbone.fused, backbone.pyramid) == (few.fused, few.pyramid)
    assert ("--keep" in words) != ("--recipe" in words)


def test_json_of_init_names_the_recipe_the_encoder_and_the_licence(
    tmp_path: Path, cache: Path
) -> None:
    make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    words = ("--images", tmp_path / "made/images", "--task", "depth")
    made = values("init", tmp_path / "a", *words)
    names = ("recipe", "encoder", "licence")
    assert [made[name] for name in names] == [RECIPE, load_recipe(RECIPE).backbone.name, ""]
    made = values("init", tmp_path / "b", *words, "--set", "network.name=segnet")
    assert [made[name] for name in names] == [RECIPE, "", ""]
    fill_cache(cache, DINOV2.name)
    made = values("init", tmp_path / "c", *words)
    assert [made[name] for name in names] == [FEW, DINOV2.name, DINOV2.licence]


def test_python_chooses_by_what_lies_ready_only_where_it_is_asked_for(
    tmp_path: Path, cache: Path
) -> None:
    make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    fill_cache(cache, DINOV3.name)
    chosen = []
    for number, asked in enumerate(({}, {"recipe": ""}, {"recipe": AUTO}, {"recipe": RECIPE})):
        folder = tmp_path / str(number)
        Project.create(folder, tmp_path / "made/images", "depth", **asked).close()
        chosen.append(read_settings(folder / "labelgrid.toml").recipe)
    assert chosen == [RECIPE, RECIPE, FEW, RECIPE]
