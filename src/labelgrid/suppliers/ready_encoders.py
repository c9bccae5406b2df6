"""Finds the weights of encoders that are worth freezing, for new projects. Loads no torch.

The file of weights is given, lies beside models that label, or is in timm's cache.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from labelgrid.basics.errors import LabelgridError, command
from labelgrid.basics.type_names import Json
from labelgrid.nets.encoder_files import tensor_shapes
from labelgrid.operations.early_warnings import is_cached
from labelgrid.project.folder import SETTINGS
from labelgrid.project.overrides import override_words
from labelgrid.project.settings import FEW, Settings
from labelgrid.recipes.resolve import (
    check_recipe,
    has_own_encoder,
    hash_of,
    load_recipe,
    load_tables,
    override,
)
from labelgrid.suppliers.ready_models import ready_files


@dataclass(frozen=True, kw_only=True)
class KnownEncoder:
    """An encoder whose frozen maps say much, as published.

    Args:
        name: the name of timm's model.
        licence: the licence of its weights, as timm states it.
        tensors: a hash of the names and shapes of timm's tensors, without a classifier.
        shares: whether timm has other weights with these tensors; then a file is known only if its
            path holds the name.
    """

    name: str
    licence: str
    tensors: str = field(repr=False)
    shares: bool = field(default=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name} (licence {self.licence})"

    def changes(self) -> Json:
        """The changes of the recipe `few` that name the encoder."""
        backbone = load_tables(FEW)["backbone"]
        is_named = backbone["name"] == self.name
        return {} if is_named else {"backbone": {**backbone, "name": self.name}}

    def is_in(self, path: Path) -> bool:
        """Whether a file holds the weights, and no other tensor."""
        if self.shares and self.name not in str(path):
            return False
        return hash_of(tensor_shapes(path)) == self.tensors

    def words(self, folder: Path, *more: str) -> str:
        """The commands that fetch the weights, and train a project's network with the encoder."""
        words: list[object] = ["fit", folder, *more]
        for word in override_words(self.changes()):
            words += ["--set", word]
        download = f"hf download timm/{self.name} model.safetensors"
        return f"`{download}` puts the file into the cache, and `{command(*words)}` learns with it"


#: In the order in which they are chosen.
ENCODERS = (
    KnownEncoder(
        name="vit_small_patch16_dinov3.lvd1689m",
        licence="dinov3-license",
        tensors="a84726da10537159",
    ),
    KnownEncoder(
        name="convnext_tiny.dinov3_lvd1689m",
        licence="dinov3-license",
        tensors="96a3ddbd8587481f",
        shares=True,
    ),
    KnownEncoder(
        name="vit_small_patch14_dinov2.lvd142m",
        licence="apache-2.0",
        tensors="c170852fcf49cc5a",
    ),
)


def with_ready_encoder(settings: Settings, folder: Path) -> Settings:
    """Give a new project the recipe `few` if the weights of a known encoder lie ready.

    Settings that name a backbone, or do not fit `few`, are returned as they are.

    Args:
        settings: with the default recipe.
        folder: the folder of the project.
    """
    ready = next(_ready(settings.weights, folder), None)
    if not ready:
        return settings
    encoder, weights = ready
    return _frozen(replace(settings, weights=weights), encoder) or settings


def _frozen(settings: Settings, encoder: KnownEncoder) -> Settings | None:
    """The settings with the recipe `few` and an encoder; None if they do not fit together."""
    if "backbone" in settings.changes:
        return None
    changes = override(settings.changes, encoder.changes())
    try:
        recipe = load_recipe(FEW, changes)
        check_recipe(recipe)
    except LabelgridError:
        return None
    if not (recipe.keeps_maps and recipe.data.views):
        return None
    return replace(settings, recipe=FEW, changes=changes)


def _ready(given: str, folder: Path) -> Iterator[tuple[KnownEncoder, str]]:
    """Known encoders, each with the file of weights, or "" for timm's cache.

    With a given file, only its encoder.
    """
    paths = [Path(given)] if given else list(ready_files(folder, "*.safetensors"))
    for encoder in ENCODERS:
        for path in paths:
            if encoder.is_in(path):
                yield encoder, str(path.absolute())
        if not given and is_cached(encoder.name):
            yield encoder, ""


def encoder_text(settings: Settings, folder: Path) -> str:
    """Say which encoder a new project was given, or how to get weights.

    "" if other weights or a backbone were given, or if the recipe `few` does not fit the settings.
    """
    first = ENCODERS[0]
    (other,) = (encoder for encoder in ENCODERS if encoder.licence != first.licence)
    if settings.recipe == FEW:
        about = about_encoder(settings, folder)
        said = f"The recipe is {FEW}: {about['encoder']} (licence {about['licence']}) lies ready."
        if about["licence"] == other.licence:
            return said
        more = ["--keep"]
    elif settings.weights or not _frozen(settings, first):
        return ""
    else:
        more = ["--recipe", FEW]
        said = f"The recipe {FEW} freezes {first}: {first.words(folder, *more)}."
    unset = f'write `weights = ""` into {folder / SETTINGS}; ' if settings.weights else ""
    return f"{said} Where this licence does not fit, {other}: {unset}{other.words(folder, *more)}."


def about_encoder(settings: Settings, folder: Path) -> Json:
    """The recipe, the encoder and the licence of a new project, as JSON values.

    The encoder is "" if the network has its own, the licence if none is known.
    """
    recipe = load_recipe(settings.recipe, settings.changes, beside=folder)
    name = "" if has_own_encoder(recipe.network.name) else recipe.backbone.name
    licences = {encoder.name: encoder.licence for encoder in ENCODERS}
    return {
        "recipe": settings.recipe,
        "encoder": name,
        "licence": licences.get(name, ""),
    }
