"""A plain folder that any tool or script can fill: images, a manifest and prelabels out, label files and skips in."""

import csv
import io
import json
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

from labelgrid import files
from labelgrid.annotate import returned
from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.annotate.returned import IMAGES, LABELS, MANIFEST, PRELABELS, README, SKIPS
from labelgrid.errors import ProjectError
from labelgrid.labels.codec import codec
from labelgrid.progress import Progress

_TEXT = """\
A request of labelgrid. Labels: {labels}. Images: {images}.

manifest.json (manifest.csv says the same) lists what is asked for, best first. Put each label at its `path`, below
this folder. A file that is named after its request id, as in `<request_id>.png`, is found anywhere in here.

images/     the images. A label has exactly its image's size (unless its task below says otherwise), turned upright as
            the image's EXIF orientation says.
prelabels/  what the model would answer, where there is a model: a start, not a label. Mend a copy of it.
skips.csv   for what cannot be labelled: a line each, `request_id,reason`.

Files that are no labels do not belong into labels/. When done, or in between: labelgrid import PROJECT THIS_FOLDER
"""


class FolderConnector:
    """Requests as folders, answers from folders: a `labelgrid.annotate.connector.Connector`."""

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write the request; sent again, the folder becomes what the request is now, and labels in it stay.

        The manifest is written first: it marks the folder as a request, so that a run after a killed one completes
        what it lists.

        Raises:
            ProjectError: the folder holds something else, or the disk refuses.
        """
        with files.disk(out, "Labels that lay in it are still there."):
            before, wanted = _before(out), _files(request)
            files.remove_files(out, before - wanted.keys())
            files.write_text(out / MANIFEST, json.dumps([asdict(item) for item in request.items], indent=1) + "\n")
            files.write_text(out / "manifest.csv", _table(request.items))
            files.write_text(out / README, _readme(request))
            if not (out / SKIPS).exists():
                files.write_text(out / SKIPS, "request_id,reason\n")
            (out / LABELS).mkdir(exist_ok=True)
            progress.start("Writing the request", len(wanted), "files")
            for name, (source, linked) in wanted.items():
                files.copy_file(source, out / name, link=link and linked)
                progress.advance()

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """The labels and skips in a folder: an answered request, or any folder of labels; see `returned`."""
        return returned.read_answers(answer, index)


build = FolderConnector


def _files(request: Request) -> dict[str, tuple[Path, bool]]:
    """Name below the folder -> the file it is a copy of, and whether it may be a link."""
    wanted = {f"{IMAGES}/{name}": (path, True) for name, path in sorted(request.images.items())}
    given = ((item, request.prelabels.get(item.cell)) for item in request.items)
    return wanted | {_prelabel(item.path): (path, False) for item, path in given if path}


def _prelabel(path: str) -> str:
    return PRELABELS + path.removeprefix(LABELS)


def _before(out: Path) -> set[str]:
    """The names of the copies that an earlier request put into the folder.

    Raises:
        ProjectError: the folder holds something else than a request.
    """
    if not out.exists() or (out.is_dir() and all(path.name.startswith(".") for path in out.iterdir())):
        return set()
    rows = returned.manifest_rows(out / MANIFEST) if (out / MANIFEST).is_file() else None
    names = {field.name for field in fields(RequestItem)}
    if rows is None or not all(row.keys() == names for row in rows):
        raise ProjectError(
            "The folder is neither empty nor an earlier request.",
            where=str(out),
            next_step="Name a new one with --out.",
            unchanged="Nothing was written.",
        )
    return {f"{IMAGES}/{row['image']}" for row in rows} | {_prelabel(row["path"]) for row in rows}


def _table(items: Iterable[RequestItem]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(RequestItem)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(item) for item in items)
    return text.getvalue()


def _readme(request: Request) -> str:
    text = _TEXT.format(labels=len(request.items), images=len(request.images))
    for name, count in sorted(Counter(item.task for item in request.items).items()):
        task = request.tasks[name]
        form = codec(task.spec.codec)
        text += f"\n{name}, labels: {count}, {LABELS}/{name}/… as {' or '.join(form.EXTENSIONS)}\n"
        for line in task.describe().splitlines():
            text += textwrap.fill(line, 110, initial_indent="  ", subsequent_indent="  ") + "\n"
    return text
