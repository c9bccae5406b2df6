"""Laws of advice at the beginning: what would stop a training, and images that would be squeezed."""

import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from labelgrid.basics.trusted_code import VARIABLE
from labelgrid.ledger.grid import ImageRow
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.operations.early_warnings import (
    early_warnings,
    missing_weights_warning,
    shape_warning,
    training_without_weights,
)
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import Recipe
from tests.campaigns import Make

BACKBONE = BackboneOptions(name="mobilenetv2_035")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a server that is away."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "https://weights.invalid")
    monkeypatch.setattr(urllib.request, "urlopen", answering(urllib.error.URLError("no such host")))
    return tmp_path / "cache"


def answering(error: Exception) -> Any:
    def urlopen(*_: object, **__: object) -> None:
        raise error

    return urlopen


def test_weights_that_cannot_be_fetched_are_missing_at_once() -> None:
    assert missing_weights_warning(BACKBONE, None) == (
        "The ImageNet weights of 'mobilenetv2_035' are not in the local cache, and https://weights.invalid cannot be "
        "reached."
    )


def test_weights_are_not_missing_if_given_cached_fetchable_or_not_wanted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_weights_warning(replace(BACKBONE, pretrained=False), None) == ""
    assert missing_weights_warning(BACKBONE, tmp_path / "weights.pt") == ""
    kept = cache / "models--timm--mobilenetv2_035.some_tag" / "snapshots" / "1"
    kept.mkdir(parents=True)
    assert missing_weights_warning(BACKBONE, None)
    (kept / "config.json").write_bytes(b"{}")
    (kept / "lost.safetensors").symlink_to(kept / "no blob")
    assert missing_weights_warning(BACKBONE, None)
    (kept / "model.safetensors").write_bytes(b"x")
    assert missing_weights_warning(BACKBONE, None) == ""
    (kept / "model.safetensors").unlink()
    refusal = urllib.error.HTTPError("https://weights.invalid", 405, "no HEAD", None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(urllib.request, "urlopen", answering(refusal))
    assert missing_weights_warning(BACKBONE, None) == ""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert missing_weights_warning(BACKBONE, None)


def test_a_project_whose_weights_are_missing_is_told_what_trains_with_and_without_them(
    make: Make,
) -> None:
    with make("own") as project:
        (project.folder / "labelgrid.toml").write_text('recipe = "small"\n')
        with ProjectFolder.open(project.folder) as changed:
            (line,) = (line for line in early_warnings(changed) if "ImageNet" in line)
        assert line.endswith(
            f"cannot be reached. Give a file with `labelgrid fit {project.folder} --weights FILE`. Or go on without "
            "them, from random weights, which need many more labels: "
            f"`labelgrid fit {project.folder} --set backbone.pretrained=false --keep`."
        )


def test_the_command_that_trains_without_weights_repeats_what_was_asked_for() -> None:
    asked = training_without_weights(Path("my flat"), "gpu.toml", {"train": {"steps": 9}})
    assert asked.endswith(
        "`labelgrid fit 'my flat' --recipe gpu.toml --set train.steps=9 --set backbone.pretrained=false`."
    )


def test_weights_of_a_network_with_an_encoder_of_its_own_are_neither_missed_nor_passed_over(
    make: Make,
) -> None:
    with make("own") as project:
        text = 'recipe = "small"\nweights = "w.pt"\n[changes.network]\nname = "segnet"\noptions = { width = 4 }\n'
        for weights, wanted in (("w.pt", 1), ("", 0)):
            (project.folder / "labelgrid.toml").write_text(text.replace("w.pt", weights))
            with ProjectFolder.open(project.folder) as changed:
                lines = [line for line in early_warnings(changed) if "backbone weights" in line]
            assert len(lines) == wanted
            assert all(
                line
                == "The network 'segnet' has an encoder of its own and starts from random weights; the backbone "
                f"weights in {project.folder / 'w.pt'} are not used."
                for line in lines
            )


def rows(upright: int, wide: int) -> list[ImageRow]:
    sizes = [(4, 3)] * upright + [(3, 4)] * wide + [(0, 0)]
    return [
        ImageRow(image_id=str(number), root="", height=height, width=width)
        for number, (height, width) in enumerate(sizes)
    ]


def test_images_that_would_be_squeezed_are_counted_with_the_option_that_helps() -> None:
    recipe = Recipe()
    text = shape_warning(rows(3, 9), recipe)
    assert text.startswith(
        "3 of 12 images are upright and will be squeezed into a wide input of 96x128. "
    )
    assert 'fit = "crop"' in text and 'fit = "pad"' in text
    assert shape_warning(rows(0, 9), recipe) == shape_warning(rows(1, 40), recipe) == ""
    tall = replace(recipe, data=replace(recipe.data, size=(128, 96)))
    assert "3 of 8 images are wide" in shape_warning(rows(5, 3), tall)
    for fit in ("crop", "pad"):
        assert shape_warning(rows(3, 9), replace(recipe, data=replace(recipe.data, fit=fit))) == ""  # type: ignore[arg-type]


def test_a_project_without_held_out_images_is_told_what_it_will_lack(make: Make) -> None:
    with make("none") as project:
        first, *_ = early_warnings(project)
        assert first.startswith(
            "No image is held out, so nothing will be measured: no metrics, no curves"
        )
        assert f"`labelgrid add {project.folder} --holdout 20%`" in first
        assert any(
            f"`labelgrid fit {project.folder} --weights FILE`." in line
            for line in early_warnings(project)
        )
    with make("some", holdout=2) as project:
        assert not any("held out" in line for line in early_warnings(project))


def test_backbones_of_other_sources_are_looked_for_where_they_are_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "hf-hub,local-dir")
    assert missing_weights_warning(replace(BACKBONE, name="local-dir:/a/folder"), None) == ""
    others = [
        replace(BACKBONE, name=name)
        for name in ("hf-hub:owner/model@main", "hf_hub:timm/mobilenetv2_035.some_tag")
    ]
    assert all(missing_weights_warning(one, None) for one in others)
    for name in ("owner--model", "timm--mobilenetv2_035.some_tag"):
        kept = cache / f"models--{name}" / "snapshots" / "1"
        kept.mkdir(parents=True)
        (kept / "model.safetensors").write_bytes(b"x")
    assert not any(missing_weights_warning(one, None) for one in others)
