"""Keeps the answer of `labelgrid control`, to be shown without a training."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from labelgrid.advice.control_verdict import Answer
from labelgrid.basics.config import parse
from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.files import read_text, write_text

#: The file of the answer, in the project's folder.
ANSWER = "control/answer.json"


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord:
    """The last answer to whether the picks pay.

    Args:
        answer: the answer in one word.
        text: the answer in one sentence.
        spent: the cost of the training labels when it was measured.
        seeds: the number of trainings on each label set.
    """

    answer: Answer
    text: str
    spent: float
    seeds: int


def write_comparison(folder: Path, record: ComparisonRecord) -> None:
    """Keep an answer in a project's folder."""
    write_text(folder / ANSWER, json.dumps(asdict(record), indent=1) + "\n")


def read_comparison(folder: Path) -> ComparisonRecord | None:
    """The last answer of a project; None without one.

    Raises:
        ProjectError: the file is damaged.
    """
    path = folder / ANSWER
    if not path.is_file():
        return None
    try:
        return parse(ComparisonRecord, json.loads(read_text(path)), str(path))
    except (ValueError, RecipeError) as error:
        raise ProjectError(
            "The last answer of `labelgrid control` is damaged.",
            where=path,
            next_step="Remove it; `labelgrid control` measures again.",
        ) from error
