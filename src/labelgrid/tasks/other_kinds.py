"""Names the likely kind of a refused label file."""

from pathlib import Path

from labelgrid.basics import plugins
from labelgrid.basics.recognition import recognitions
from labelgrid.basics.words import join_names
from labelgrid.formats.codec import codec
from labelgrid.tasks.task import TaskDef, spec_of

#: How sure another format must be.
SURE = 0.6


def other_kind(path: Path, task: TaskDef) -> str:
    """A sentence, after a space, on the likely kind of a refused label file.

    Empty if it may as well be of the task's own format, if several other formats are as sure, and
    if the task's format recognises no files.
    """
    declared_codec = task.spec.codec
    if not hasattr(codec(declared_codec), "recognise"):
        return ""
    kinds: dict[str, list[str]] = {declared_codec: [task.kind]}
    for kind in plugins.names("kinds"):
        kinds.setdefault(spec_of(kind).codec, []).append(kind)
    answers = recognitions({name: codec(name) for name in kinds}, path)
    largest = max((answer.sure for answer in answers.values()), default=0.0)
    surest = [name for name, answer in answers.items() if answer.sure == largest]
    if len(surest) != 1 or surest == [declared_codec] or largest < SURE:
        return ""
    name = surest[0]
    return f" It looks like {answers[name].what} (kind of task: {join_names(kinds[name])})."
