"""Finds the weights of encoders that are worth freezing, for new projects. Loads no torch.

The file of weights is given, lies beside models that label, or is in timm's cache.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from labelgrid.basics.errors import RecipeError, command
from labelgrid.basics.type_names import Json
from labelgrid.nets.encoder_files import tensor_shapes
from labelgrid.operations.early_warnings import is_cached
from labelgrid.project.settings import FEW, Settings
from labelgrid.recipes.resolve import has_own_encoder, load_recipe, load_tables, override
from labelgrid.suppliers.ready_models import ready_files


@dataclass(frozen=True, kw_only=True)
class KnownEncoder:
    """An encoder whose frozen maps say much, as published.

    Args:
        name: the name of timm's model.
        licence: the licence of its weights, as timm states it.
        shapes: shapes of tensors by which a file is known.
        lacks: tensors that only files of similar models have.
    """

    name: str
    licence: str
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False, hash=False)
    lacks: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} (licence {self.licence})"

    def changes(self) -> Json:
        """The changes of the recipe `few` that name the encoder."""
        backbone = load_tables(FEW)["backbone"]
        return (
            {} if backbone["name"] == self.name else {"backbone": {**backbone, "name": self.name}}
        )

    def is_in(self, path: Path) -> bool:
        """Whether a file holds the weights."""
        shapes = tensor_shapes(path)
        if not shapes.keys().isdisjoint(self.lacks):
            return False
        return all(shapes.get(name) == shape for name, shape in self.shapes.items())


#: In the order in which they are chosen.
ENCODERS = (
    KnownEncoder(
        name="vit_small_patch16_dinov3.lvd1689m",
        licence="dinov3-license",
        shapes={
            "reg_token": (1, 4, 384),
            "patch_embed.proj.weight": (384, 3, 16, 16),
            "blocks.11.mlp.fc1.weight": (1536, 384),
        },
        lacks=("pos_embed", "blocks.0.attn.q_bias"),
    ),
    KnownEncoder(
        name="convnext_tiny.dinov3_lvd1689m",
        licence="dinov3-license",
        shapes={"stem.0.weight": (96, 3, 4, 4), "stages.2.blocks.8.gamma": (384,)},
        lacks=("head.fc.weight",),
    ),
    KnownEncoder(
        name="vit_small_patch14_dinov2.lvd142m",
        licence="apache-2.0",
        shapes={
            "pos_embed": (1, 1370, 384),
            "patch_embed.proj.weight": (384, 3, 14, 14),
            "blocks.11.ls1.gamma": (384,),
        },
        lacks=("reg_token",),
    ),
)


def with_ready_encoder(settings: Settings, folder: Path) -> Settings:
    """Give a new project the recipe `few` if the weights of a known encoder lie ready.

    Settings stay as they are if they name a backbone, or a network or terms that train the encoder.

    Args:
        settings: with the default recipe.
        folder: the folder of the project.
    """
    if "backbone" in settings.changes:
        return settings
    ready = next(_ready(settings.weights, folder), None)
    if not ready:
        return settings
    encoder, weights = ready
    changes = override(settings.changes, encoder.changes())
    fits = _keeps_maps(changes)
    return replace(settings, recipe=FEW, weights=weights, changes=changes) if fits else settings


def _keeps_maps(changes: Json) -> bool:
    """Whether the recipe `few` with some changes keeps the maps of its encoder."""
    try:
        recipe = load_recipe(FEW, changes)
    except RecipeError:  # the command refuses them
        return False
    return recipe.keeps_images and not has_own_encoder(recipe.network.name)


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

    "" if other weights or another backbone were given.
    """
    names = {encoder.name: encoder for encoder in ENCODERS}
    others = [encoder for encoder in ENCODERS if encoder.licence != ENCODERS[0].licence]
    other = " or ".join(map(str, others))
    if settings.recipe == FEW:
        encoder = names[load_recipe(FEW, settings.changes).backbone.name]
        unlike = "" if encoder in others else f" Where this licence does not fit: {other}."
        return f"The recipe is {FEW}: {encoder} lies ready.{unlike}"
    if settings.weights or "backbone" in settings.changes:
        return ""
    first = ENCODERS[0]
    download = f"hf download timm/{first.name} model.safetensors"
    return (
        f"The recipe {FEW} freezes {first}, or {other}: `{download}` puts the file into the cache, "
        f"and `{command('fit', folder, '--recipe', FEW)}` learns with it."
    )
