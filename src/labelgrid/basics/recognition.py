"""Recognises files and folders with plug-ins."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recognition:
    """What a plug-in recognises a file or folder as.

    Args:
        what: part of a sentence, such as "a depth map".
        sure: how sure it is, above 0 and at most 1.
    """

    what: str
    sure: float


def recognitions(plug_ins: Mapping[str, object], path: Path) -> dict[str, Recognition]:
    """The answers of plug-ins that recognise a file or folder, by name, the surest first.

    Plug-ins that do not recognise the file, and plug-ins without `recognise`, are left out.

    Example:
        >>> recognitions({"old": object()}, Path("label.png"))
        {}
    """
    answers = {}
    for name, plug_in in plug_ins.items():
        recognise = getattr(plug_in, "recognise", None)
        answer = recognise(path) if recognise else None
        if answer:
            answers[name] = answer
    return dict(sorted(answers.items(), key=lambda item: -item[1].sure))
