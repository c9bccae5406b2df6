"""Chooses held-out images whose predictions the report shows, and keeps these as label files.

Loads no torch.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from labelgrid.basics.config import parse
from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.files import read_text, write_text
from labelgrid.basics.results import Better

#: The folder of the predictions in a round's folder, and the list of them in it.
EXAMPLES = "heldout"
LIST = "examples.json"
#: Where an image stands among the held-out images of a task.
Place = Literal["median", "worst"]


@dataclass(frozen=True, kw_only=True)
class HeldoutExample:
    """A prediction of a held-out image.

    Args:
        task: its name.
        image_id: the image.
        place: where the image stands among those with a label of the task.
        value: the task's headline metric on this image alone.
        file: the prediction, a label file in the folder of the list.
        model: the hash of the model that predicted.
    """

    task: str
    image_id: str
    place: Place
    value: float
    file: str
    model: str


def choose_examples(values: Mapping[str, float], better: Better) -> dict[Place, str]:
    """The median image and the worst image by a metric; a single image is the worst.

    Values that are no number do not count.

    Example:
        >>> choose_examples({"a": 1.0, "b": 5.0, "c": 3.0}, "lower")
        {'median': 'c', 'worst': 'b'}
    """
    sign = 1 if better == "higher" else -1
    finite = {name: sign * value for name, value in values.items() if math.isfinite(value)}
    order = sorted(finite, key=lambda name: (finite[name], name))
    places: dict[Place, str] = {}
    if len(order) > 1:
        places["median"] = order[len(order) // 2]
    if order:
        places["worst"] = order[0]
    return places


def write_examples(folder: Path, examples: Sequence[HeldoutExample]) -> None:
    """Write the list of predictions into their folder, by task and place."""
    ordered = sorted(examples, key=lambda example: (example.task, example.place))
    rows = [asdict(example) for example in ordered]
    write_text(folder / LIST, json.dumps(rows, indent=1) + "\n")


def read_examples(round_folder: Path, model: str) -> list[HeldoutExample]:
    """The predictions of a round's model, of another model none.

    Raises:
        ProjectError: the list is damaged.
    """
    path = round_folder / EXAMPLES / LIST
    if not path.is_file():
        return []
    try:
        examples = [parse(HeldoutExample, row, str(path)) for row in json.loads(read_text(path))]
    except (ValueError, TypeError, RecipeError) as error:
        raise ProjectError(
            "The list of held-out predictions is damaged.",
            where=path,
            next_step="Remove it; `labelgrid evaluate` writes it again.",
        ) from error
    return [example for example in examples if example.model == model]
