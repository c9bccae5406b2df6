"""Answers of labelling tools with mutated files: zip, JSON, XML and their masks, and what only attacks hold.

Each is recognised, unpacked, received and validated as an import does, which changes nothing.
"""

import importlib
import json
import os
import random
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from labelgrid.annotate.answers import ImportRefused
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.unpacking import unpacked
from labelgrid.basics import plugins
from labelgrid.basics.progress import Silent
from labelgrid.basics.recognition import recognitions
from labelgrid.imports.validate_labels import validate_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.testing.tools import listing
from tests.contracts.test_connectors import ANNOTATORS, place_of
from tests.torture.mutated import MUTATIONS

#: Of what is JSON or XML, the files that are mutated; the others hold pixels or lists.
TEXTS = (".json", ".xml")
DEEP = 100_000
REGIONS = 1_000_000
#: Values in the place of any value of a file.
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 2**31, 2**62, 1e308, -1e308, "", "../../x", "/etc/passwd"),
    *("a" * 10_000, "\x1b[2J", "\0", "1e999", "nan", [], {}, [[]], [-1, 2**40], [0] * 1000),
    *([[0, 0, 1e9, 0, 1e9, 1e9]], {"size": [2**31, 2**31], "counts": [2**62]}, "٣"),
)
BOMB = (
    b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">%s]><annotations><image name="&j;"/></annotations>"""
    % (b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)))
)
FILE = b"""<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>"""


@dataclass(frozen=True)
class Sound:
    """A sound answer: its tool, what a person says about it, its project, and its folder."""

    tool: str
    options: ImportOptions | None
    project: Path
    answer: Path


def make(folder: Path) -> list[Sound]:
    """An answer of every tool that has an annotator, each in a project of its own."""
    made = []
    for name in ANNOTATORS:
        annotator: Any = importlib.import_module(f"tests.annotators.{name}")
        if ":" in annotator.CONNECTOR:
            continue
        place = place_of(name, folder / name)
        answer = place.answer(place.send())
        options = getattr(annotator, "OPTIONS", None)
        made.append(Sound(annotator.CONNECTOR, options, place.project.folder, answer))
        place.project.close()
    return made


def changed_json(data: bytes, draw: random.Random) -> bytes:
    """JSON with another value at a random place."""
    value = json.loads(data)
    places = [(holder, key) for holder in nodes(value) for key in keys(holder)]
    if places:
        holder, key = draw.choice(places)
        holder[key] = draw.choice(VALUES)
    return json.dumps(value).encode()


def nodes(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for key in keys(value):
            yield from nodes(value[key])


def keys(value: Any) -> list[Any]:
    return list(value if isinstance(value, dict) else range(len(value)))


def changed_xml(data: bytes, draw: random.Random) -> bytes:
    """XML with another text or attribute in a random place."""
    pieces = data.split(b'"')
    place = draw.randrange(len(pieces))
    value = str(draw.choice(VALUES)).replace("<", "").replace("\0", "").encode()
    pieces[place] = value if place % 2 else pieces[place].replace(b">", b">" + value, 1)
    return b'"'.join(pieces)


def many(data: bytes, count: int) -> bytes:
    """The file with the last region, of JSON or XML, so many times."""
    for start, end in ((b"<mask", b"/>"), (b"<polygon", b"/>"), (b"<object>", b"</object>")):
        at = data.rfind(start)
        if at >= 0:
            stop = data.index(end, at) + len(end)
            return data[:stop] + data[at:stop] * min(count, 2**25 // (stop - at)) + data[stop:]
    for key in (b'"annotations": [', b'"shapes": [', b'"result": ['):
        if key in data:
            return data.replace(key, key + b'{"id": 1},' * count, 1)
    return data


def hostile_texts(suffix: str) -> list[Callable[[bytes], bytes]]:
    """What no tool writes, in the place of a file."""
    if suffix == ".xml":
        deep = b"<annotations>" + b"<image>" * DEEP
        return [
            lambda data: BOMB,
            lambda data: FILE,
            lambda data: deep,
            lambda data: many(data, REGIONS),
            lambda data: data.replace(b"utf-8", b"utf-99", 1),
            lambda data: data.decode().encode("utf-16"),
        ]
    return [
        lambda data: b"[" * DEEP,
        lambda data: b'{"images": ' + b'{"a":' * DEEP,
        lambda data: data.rstrip()[:-1] + b', "x": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        lambda data: many(data, REGIONS),
        lambda data: data.replace(b": 1", b": 1" + b"0" * 5000),
        lambda data: data.decode().encode("utf-16"),
    ]


def zipped(folder: Path) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in listing(folder).items():
            archive.writestr(name, data)
    return buffer.getvalue()


#: Names in a zip that lead out of a folder, or that no file can have.
NAMES = (
    *("../out", "a/../../out", "/abs-out", "..\\out", "C:/out", "C:out", "//host/out", "a/\0/b"),
    *("", ".", "..", "a" * 300, "x/" * 2000 + "y", "con/../../out"),
)


def hostile_zips(data: bytes, number: int) -> bytes:
    """A zip with a hostile member beside the sound ones."""
    buffer = BytesIO(data)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        first = archive.namelist()[0]
        if number < len(NAMES):
            archive.writestr(zipfile.ZipInfo(NAMES[number] or "x"), b"out")
        elif number == len(NAMES):
            link = zipfile.ZipInfo("link")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc/passwd")
        elif number == len(NAMES) + 1:
            archive.writestr(first, b"again")
        elif number == len(NAMES) + 2:
            archive.writestr("bomb.json", bytes(2**27))
        elif number == len(NAMES) + 3:
            for count in range(5_000):
                archive.writestr(f"many/{count}.txt", b"")
        else:
            archive.writestr("inner.zip", data)
    if number == len(NAMES) + 5:  # sizes of 4 GB in the list of files
        content = bytearray(buffer.getvalue())
        at = content.rindex(b"PK\1\2")
        content[at + 20 : at + 28] = b"\xff\xff\xff\xfe" * 2
        return bytes(content)
    return buffer.getvalue()


def emptied(folder: Path) -> None:
    """Wait for the process that removes what many files were unpacked to."""
    end = time.monotonic() + 60
    while any(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.05)


HOSTILE_ZIPS = len(NAMES) + 6
WAYS = (*(f"file, {way}" for way in MUTATIONS), "value", "value", "hostile", "zip", "hostile zip")


@dataclass
class Tools:
    """One changed answer a trial: tool, file and change depend on the number."""

    folder: Path
    seed: int = 0
    note: str = field(default="", init=False)
    sounds: list[Sound] = field(default_factory=list)

    def make(self) -> None:
        self.sounds = make(self.folder)

    def drawn(self, number: int) -> tuple[Sound, str]:
        sound = self.sounds[number % len(self.sounds)]
        return sound, WAYS[number // len(self.sounds) % len(WAYS)]

    def named(self, number: int) -> str:
        sound, way = self.drawn(number)
        if "zip" in way:
            return "answers of tools, zip"
        return f"answers of tools, {self.target(number, sound, way).suffix[1:].upper()}"

    def target(self, number: int, sound: Sound, way: str) -> Path:
        """The file of the answer that is changed; JSON or XML where values are."""
        draw = random.Random(f"file {self.seed} {number}")
        names = [name for name in listing(sound.answer) if "images/" not in f"/{name}"]
        texts = [name for name in names if Path(name).suffix in TEXTS]
        if texts and (draw.random() < 0.7 or way in ("value", "hostile")):
            names = texts
        return Path(draw.choice(names))

    @cached_property
    def expected(self) -> dict[Path, object]:
        return {sound.answer: self.received(sound, sound.answer) for sound in self.sounds}

    def __call__(self, number: int) -> str:
        sound, way = self.drawn(number)
        draw = random.Random(f"{self.seed} {number}")
        expected = self.expected[sound.answer]
        room = self.folder / f"rooms/{os.getpid()}"
        shutil.rmtree(room, ignore_errors=True)
        (room / "tmp").mkdir(parents=True)
        tempfile.tempdir = str(room / "tmp")
        answer = room / "answer"
        self.note = f"{sound.tool} {way}"
        if "zip" in way:
            answer = answer.with_suffix(".zip")
            data = zipped(sound.answer)
            if way == "zip":
                data = MUTATIONS[draw.choice(list(MUTATIONS))](data, draw)
            else:
                data = hostile_zips(data, number // len(self.sounds) // len(WAYS) % HOSTILE_ZIPS)
            answer.write_bytes(data)
        else:
            shutil.copytree(sound.answer, answer, symlinks=True)
            target = answer / self.target(number, sound, way)
            self.note += f" {target.relative_to(answer)}"
            data = target.read_bytes()
            target.write_bytes(self.changed(data, target.suffix, way, draw))
        try:
            found = self.received(sound, answer)
        finally:
            emptied(room / "tmp")
            left = [
                path for path in room.rglob("*") if path.name in ("x", "link") or "out" in path.name
            ]
            outside = list((room / "tmp").iterdir())
            assert not outside and not left, f"written outside: {outside} {left}"
            assert not Path("/abs-out").exists(), "written outside"
        if found == expected:
            return "right"
        return "wrong" if "zip" in way or answer_checked(answer, self.note) else "unnoticed"

    def changed(self, data: bytes, suffix: str, way: str, draw: random.Random) -> bytes:
        if way == "hostile" and suffix in TEXTS:
            return draw.choice(hostile_texts(suffix))(data)
        if way == "value" and suffix in TEXTS:
            return (changed_json if suffix == ".json" else changed_xml)(data, draw)
        name = way.removeprefix("file, ")
        return MUTATIONS.get(name, MUTATIONS["flipped bits"])(data, draw)

    def received(self, sound: Sound, path: Path) -> object:
        """The labels and skips that an import of the answer would record."""
        with ProjectFolder.open(sound.project) as project, unpacked(path) as answer:
            tools = {name: plugins.create("tools", name) for name in plugins.names("tools")}
            recognitions(tools, answer)
            index = ProjectIndex(project.store, project.tasks(), sound.options or ImportOptions())
            answers = tools[sound.tool].receive(answer, index)
            seen = {}
            validated = validate_labels(
                project,
                answers,
                split=None,
                replace=False,
                progress=Silent(),
                seen=lambda cell, label: seen.__setitem__(
                    cell, (label.valid.tobytes(), label.value[label.valid].tobytes())
                ),
            )
            if validated.faults:
                raise ImportRefused(validated.faults, str(path))
            return seen, [(skip.cell, skip.reason) for skip in validated.skips]


def answer_checked(answer: Path, note: str) -> bool:
    """Whether the changed file has checksums."""
    return note.endswith(".png")
