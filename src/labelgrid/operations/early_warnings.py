"""Says at once which faults of a project would stop or disappoint later.

That is missing weights, and images of another shape than the network's input. Loads no torch.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from labelgrid.basics.errors import command
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import ImageRow
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.overrides import override_words
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import has_own_encoder, load_recipe, override

#: Seconds to wait for the server of the weights.
PATIENCE = 5.0
#: The suffixes of files of weights in the cache.
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")


def early_warnings(project: ProjectFolder) -> list[str]:
    """Sentences on the lacks of a new project, with commands or options that help."""
    recipe = load_recipe(project.settings.recipe, project.settings.changes, beside=project.folder)
    lines = []
    if not project.store.count_images(("heldout",)):
        lines.append(
            "No image is held out, so nothing will be measured: no metrics, no curves in the "
            f"report. `{command('add', project.folder, '--holdout', '20%')}` holds some out, also "
            "later."
        )
    lines.append(shape_warning(project.store.images(), recipe))
    if has_own_encoder(recipe.network.name):
        lines.append(unused_weights_warning(recipe.network.name, project.weights()))
    else:
        missing = missing_weights_warning(recipe.backbone, project.weights())
        fit = command("fit", project.folder, "--weights", "FILE")
        if missing:
            without = training_without_weights(project.folder)
            lines.append(f"{missing} Give a file with `{fit}`. {without}")
    return [line for line in lines if line]


def missing_weights_warning(backbone: BackboneOptions, weights: Path | None) -> str:
    """Why a training cannot start from ImageNet weights, or "".

    It cannot if no file was given, none is cached, and the server is away.
    """
    if not backbone.pretrained or weights is not None:
        return ""
    if is_cached(backbone.name, without_client=True) or _is_reachable():
        return ""
    return (
        f"The ImageNet weights of '{backbone.name}' are not in the local cache, and {_endpoint()} "
        "cannot be reached."
    )


def training_without_weights(folder: Path, recipe: str = "", changes: Values | None = None) -> str:
    """A sentence with the command for training from random weights.

    Without `recipe` and `changes` of this training alone, the command keeps its own for later
    trainings.
    """
    asked = override(changes or {}, {"backbone": {"pretrained": False}})
    words: list[object] = ["fit", folder]
    words += ["--recipe", recipe] if recipe else []
    for word in override_words(asked):
        words += ["--set", word]
    words += [] if recipe or changes else ["--keep"]
    return (
        "Or go on without them, from random weights, which need many more labels: "
        f"`{command(*words)}`."
    )


def unused_weights_warning(network: str, weights: Path | None) -> str:
    """A sentence on weights that a network with an own encoder ignores.

    "" if none were given.
    """
    if weights is None:
        return ""
    return (
        f"The network '{network}' has an encoder of its own and starts from random weights; the "
        f"backbone weights in {weights} are not used."
    )


def is_cached(name: str, *, without_client: bool = False) -> bool:
    """Whether timm's weights of a name are in the cache.

    Args:
        name: the name of a model.
        without_client: the answer where the client that fills the cache is not installed.
    """
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ModuleNotFoundError:  # it comes with the extra [train]; nothing is trained here
        return without_client

    source, _, model = name.rpartition(":")
    if source == "local-dir":
        return True
    if source:
        name = model.partition("@")[0].removeprefix("timm/")
    by_timm = [f"timm--{name}", f"timm--{name}.*"]
    for folder in [name.replace("/", "--")] if "/" in name else by_timm:
        for path in Path(HF_HUB_CACHE).glob(f"models--{folder}/snapshots/*/*"):
            if path.suffix in WEIGHTS and path.is_file():
                return True
    return False


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _is_reachable() -> bool:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    if not _endpoint().startswith(("http://", "https://")):
        return False
    try:
        request = urllib.request.Request(_endpoint(), method="HEAD")
        with urllib.request.urlopen(request, timeout=PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def shape_warning(rows: Iterable[ImageRow], recipe: Recipe) -> str:
    """A sentence on images that the recipe would stretch; "" if few.

    The size would stretch upright images to wide ones, or the other way round.

    Images of unknown size do not count.
    """
    height, width = recipe.data.size
    images = 0
    squeezed = 0
    for row in rows:
        if row.height:
            images += 1
            squeezed += (row.height - row.width) * (height - width) < 0
    if recipe.data.fit != "resize" or squeezed * 20 < max(images, 1):
        return ""
    shape = "wide"
    other = "upright"
    if height < width:
        shape = "upright"
        other = "wide"
    return (
        f"{squeezed} of {count_text(images, 'image is', 'images are')} {shape} and will be "
        f"squeezed into a {other} input of "
        f'{height}x{width}. `fit = "crop"` or `fit = "pad"` keeps their shape: write '
        f'`[changes.data]` and `fit = "crop"` into labelgrid.toml; or set `size`.'
    )
