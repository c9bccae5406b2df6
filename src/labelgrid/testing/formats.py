"""Defines the laws of label formats, functions that raise AssertionError for a breach.

The labels follow from what a format declares: `EXAMPLES` are its pixels, `Options` gives the
options. Nothing here imports torch, since a law runs it where torch cannot be imported.
"""

import tempfile
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition, recognitions
from labelgrid.formats.codec import Codec, Form, LabelArray, codec
from labelgrid.testing.laws import WATCH, NotForItError, Subject, expect, run_alone

#: The accepted error of floating-point values that a format rounds, as a share of the largest.
PRECISION = 1e-4
#: The size of the labels; its sides differ, so that swapped ones are noticed.
HEIGHT = 6
WIDTH = 5
#: Values of required options, by their types.
REQUIRED: dict[object, object] = {
    tuple[str, ...]: ("wall", "floor", "bed"),
    tuple[int, ...]: (1, 2),
    str: "example",
    int: 1,
    float: 1.0,
    bool: True,
}
#: What a file of no label format begins with.
FOREIGN = {
    "a text": b"This is not a label.\n" * 20,
    "a PDF": b"%PDF-1.7\n" + bytes(200),
    "a GIF": b"GIF89a" + bytes(200),
    "a ZIP": b"PK\x03\x04" + bytes(200),
    "a list of zeros": bytes(200),
    "an empty file": b"",
}
#: Uses a format where torch cannot be imported.
ALONE = f"""{WATCH}
from pathlib import Path
from labelgrid.testing.formats import FormatCase, use
use(FormatCase(sys.argv[1], Path(sys.argv[2])))
sys.exit(3 if Watch.asked else 0)
"""


def _type_text(given: object) -> str:
    """A type as a file of Python has it."""
    return given.__name__ if type(given) is type else str(given)


@dataclass(frozen=True)
class FormatCase:
    """A format and a folder for its files.

    Args:
        name: the name of the plug-in, or "package.module:object".
        folder: exists.
    """

    name: str
    folder: Path

    @property
    def codec(self) -> Codec[Any]:
        return codec(self.name)

    def options(self) -> Any:
        """The default options; required options get a value of their type."""
        return self.codec_options()(**self.required())

    def all_options(self) -> list[Any]:
        """The default options, and variants with a switch turned."""
        options = self.options()
        switches = [field.name for field in fields(options) if isinstance(field.default, bool)]
        turned = [replace(options, **{name: not getattr(options, name)}) for name in switches]
        return [options, *turned]

    def codec_options(self) -> Any:
        return self.codec.Options  # type: ignore[attr-defined]

    def required(self) -> dict[str, object]:
        types = get_type_hints(self.codec_options())
        values: dict[str, object] = {}
        for field in fields(self.codec_options()):
            if field.default is not MISSING or field.default_factory is not MISSING:
                continue
            expect(
                types[field.name] in REQUIRED,
                f"The option `{field.name}` of {self.name} is required, and the laws know no value "
                f"of {_type_text(types[field.name])}: give it a default, or one of the types "
                f"{', '.join(map(_type_text, REQUIRED))}.",
            )
            values[field.name] = REQUIRED[types[field.name]]
        return values

    def label(self) -> LabelArray:
        """A label whose pixels are the format's examples, all of them valid."""
        pixels = np.array(examples(self), self.codec.DTYPE)
        order = np.random.default_rng(0).permutation(np.arange(HEIGHT * WIDTH) % len(pixels))
        value = pixels[order].reshape(HEIGHT, WIDTH, self.codec.CHANNELS)
        return LabelArray(value, np.ones((HEIGHT, WIDTH), np.bool_))

    def place(self) -> Path:
        """The path of a file with the format's first extension, in a folder of its own."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return folder / f"label{self.codec.EXTENSIONS[0]}"

    def write(self, label: LabelArray, options: Any) -> Path:
        """Write a label that the format must be able to hold."""
        path = self.place()
        try:
            self.codec.write(path, label, options)
        except Exception as error:
            raise AssertionError(
                f"`write` of {self.name} must accept a label of its EXAMPLES with {options}; "
                f"it raised {error!r}."
            ) from error
        return path

    def read(self, path: Path, options: Any) -> LabelArray:
        """Read a file that the format wrote."""
        expect(
            path.is_file(),
            f"`write` of {self.name} must write the path that it is given, {path.name}; "
            f"it wrote {names_of(path.parent)}.",
        )
        try:
            return self.codec.read(path, options)
        except Exception as error:
            raise AssertionError(
                f"`read` of {self.name} must accept what its `write` wrote with {options}; "
                f"it raised {error!r}."
            ) from error


def examples(case: FormatCase) -> Any:
    declared = getattr(case.codec, "EXAMPLES", None)
    expect(
        declared is not None,
        f"{case.name} must declare EXAMPLES: two or more pixels that every file of it can hold, "
        "such as EXAMPLES = ((0.5,), (2.0,)); the laws make labels of them.",
    )
    return declared


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def it_declares_what_it_holds(case: FormatCase) -> None:
    form = case.codec
    pixels = examples(case)
    extensions_are_right = (
        isinstance(form.EXTENSIONS, tuple)
        and len(form.EXTENSIONS) > 0
        and all(name == name.lower() and name.startswith(".") for name in form.EXTENSIONS)
    )
    expect(
        extensions_are_right,
        f"EXTENSIONS of {case.name} must be a tuple of extensions in lower case with their dots, "
        f'such as (".png",); it is {form.EXTENSIONS!r}.',
    )
    expect(
        form.DTYPE in (np.int64, np.float32),
        f"DTYPE of {case.name} must be np.int64 for class indices or np.float32; it is "
        f"{form.DTYPE!r}.",
    )
    expect(
        len(set(pixels)) > 1 and {len(pixel) for pixel in pixels} == {form.CHANNELS},
        f"EXAMPLES of {case.name} must be two or more different pixels of CHANNELS = "
        f"{form.CHANNELS} numbers each; it is {pixels!r}.",
    )
    options = case.codec_options()
    expect(
        isinstance(options, type) and is_dataclass(options) and issubclass(options, Form),
        f"Options of {case.name} must be a frozen dataclass that extends "
        f"labelgrid.formats.codec.Form, which has `stride`; it is {options!r}.",
    )


def what_it_writes_it_reads(case: FormatCase) -> None:
    label = case.label()
    for options in case.all_options():
        read = case.read(case.write(label, options), options)
        same_label(case, read, label, PRECISION)


def written_again_a_label_stays_the_same(case: FormatCase) -> None:
    for options in case.all_options():
        once = case.read(case.write(case.label(), options), options)
        twice = case.read(case.write(once, options), options)
        same_label(case, twice, once, 0.0)


def same_label(case: FormatCase, read: LabelArray, label: LabelArray, precision: float) -> None:
    """Check two labels for equality at valid pixels.

    Class indices must be equal; other values may differ by `precision` times the largest value.
    """
    shape = (HEIGHT, WIDTH, case.codec.CHANNELS)
    expect(
        read.value.shape == shape and read.valid.shape == shape[:2],
        f"`read` of {case.name} must return `value` [h, w, c] and `valid` [h, w], here {shape} and "
        f"{shape[:2]}; it returned {read.value.shape} and {read.valid.shape}.",
    )
    expect(
        read.value.dtype == case.codec.DTYPE and read.valid.dtype == np.bool_,
        f"`read` of {case.name} must return values of its DTYPE, {case.codec.DTYPE.__name__}, and "
        f"a mask of bool; it returned {read.value.dtype} and {read.valid.dtype}.",
    )
    wrong = int((read.valid != label.valid).sum())
    expect(
        wrong == 0,
        f"`read` of {case.name} must return the mask `valid` that was written; {wrong} of "
        f"{HEIGHT * WIDTH} pixels differ.",
    )
    written = label.value[label.valid].astype(np.float64)
    difference = float(np.abs(read.value[label.valid] - written).max())
    accepted = 0.0
    if case.codec.DTYPE is not np.int64:
        accepted = precision * float(np.abs(written).max())
    expect(
        difference <= accepted,
        f"`read` of {case.name} must return the values that were written, within {accepted:g}; "
        f"the largest difference is {difference:g}.",
    )


def pixels_without_a_label_come_back_or_are_refused(case: FormatCase) -> None:
    label = label_with_gaps(case)
    for options in case.all_options():
        path = case.place()
        try:
            case.codec.write(path, label, options)
        except LabelError as error:
            names_the_file(case, error, path, "a label with pixels that are not labelled")
            expect(
                not names_of(path.parent),
                f"`write` of {case.name} must leave no file of a label that it refuses; it left "
                f"{names_of(path.parent)}.",
            )
            continue
        same_label(case, case.read(path, options), label, PRECISION)


def label_with_gaps(case: FormatCase) -> LabelArray:
    """A label of which some pixels are not valid, whose values are then undefined."""
    label = case.label()
    valid = np.random.default_rng(1).random(label.size) < 0.6
    undefined: NDArray[Any] = np.array(-1, np.int64)
    if case.codec.DTYPE is not np.int64:
        undefined = np.array(np.nan, np.float32)
    return LabelArray(np.where(valid[..., None], label.value, undefined), valid)


def it_writes_one_file_with_its_first_extension(case: FormatCase) -> None:
    path = case.write(case.label(), case.options())
    expect(
        names_of(path.parent) == [path.name],
        f"`write` of {case.name} must write the path that it is given, which ends in "
        f"EXTENSIONS[0], and nothing beside it: {path.name}; it wrote {names_of(path.parent)}.",
    )


def a_truncated_file_is_refused(case: FormatCase) -> None:
    options = case.options()
    data = case.write(case.label(), options).read_bytes()
    for size in (0, 1, len(data) // 2, len(data) - 1):
        path = case.place()
        path.write_bytes(data[:size])
        refuses(case, path, f"a file cut after {size} of {len(data)} bytes")


def a_foreign_file_is_refused(case: FormatCase) -> None:
    for extension in case.codec.EXTENSIONS:
        for subject, data in FOREIGN.items():
            path = case.place().with_suffix(extension)
            path.write_bytes(data)
            refuses(case, path, f"{subject} whose name ends in {extension}")
        refuses(case, case.place().with_suffix(extension), "a file that does not exist")


def refuses(case: FormatCase, path: Path, subject: str) -> None:
    try:
        case.codec.read(path, case.options())
    except LabelError as error:
        names_the_file(case, error, path, subject)
        return
    except Exception as error:
        raise AssertionError(
            f"`read` of {case.name} must refuse {subject} with a LabelError; it raised {error!r}. "
            "`labelgrid.formats.arrays.samples` turns the errors of decoders into LabelErrors."
        ) from error
    raise AssertionError(
        f"`read` of {case.name} must refuse {subject} with a LabelError; it returned a label."
    )


def names_the_file(case: FormatCase, error: LabelError, path: Path, subject: str) -> None:
    expect(
        str(path) in str(error),
        f"The LabelError of {case.name} about {subject} must name the file (where=str(path)); "
        f"it says: {error}",
    )


def it_describes_its_file_in_a_sentence_first(case: FormatCase) -> None:
    for options in case.all_options():
        lines = case.codec.describe(options).split("\n")
        first = lines[0]
        expect(
            first == first.strip() and first.endswith(".") and len(first.split()) > 3,
            f"`describe` of {case.name} must begin with a line that stands alone, whole sentences "
            f"that end in a full stop; it is {first!r}.",
        )
        expect(
            all(line.strip() for line in lines),
            f"`describe` of {case.name} must have no empty lines: after the first line one for "
            f"each item; it returned {lines!r}.",
        )


def the_size_in_the_header_is_the_label_s(case: FormatCase) -> None:
    stored_size = getattr(case.codec, "stored_size", None)
    if stored_size is None:
        raise NotForItError("it has no `stored_size`, which is optional")
    size = stored_size(case.write(case.label(), case.options()))
    expect(
        size in (None, (HEIGHT, WIDTH)),
        f"`stored_size` of {case.name} must return height and width, here {(HEIGHT, WIDTH)}, or "
        f"None; it returned {size!r}.",
    )


def what_it_writes_it_recognises_before_all_others(case: FormatCase) -> None:
    """Others may be as sure, since some labels are valid files of several formats.

    A grey PNG of 8 bits that holds 0 alone is a binary map and a class map.
    """
    recognise = getattr(case.codec, "recognise", None)
    if recognise is None:
        raise NotForItError("it has no `recognise`, which is optional")
    path = case.write(case.label(), case.options())
    answer = recognise(path)
    expect(
        isinstance(answer, Recognition) and bool(answer.what) and 0 < answer.sure <= 1,
        f"`recognise` of {case.name} must return, for a file that its `write` wrote, a Recognition "
        f"with words and a sureness above 0 and at most 1; it returned {answer!r}.",
    )
    others = recognitions({name: codec(name) for name in plugins.names("formats")}, path)
    surer = [name for name, other in others.items() if other.sure > answer.sure]
    expect(
        not surer,
        f"`recognise` of {case.name} must be as sure of a file that its `write` wrote as any other "
        f"format; it is {answer.sure:g}, and {others} are the others.",
    )


def what_it_cannot_read_it_does_not_recognise(case: FormatCase) -> None:
    if not hasattr(case.codec, "recognise"):
        raise NotForItError("it has no `recognise`, which is optional")
    data = case.write(case.label(), case.options()).read_bytes()
    contents = {"random bytes": np.random.default_rng(0).bytes(500), **FOREIGN}
    for size in (1, len(data) // 2, len(data) - 1):
        contents[f"a file cut after {size} of {len(data)} bytes"] = data[:size]
    for extension in case.codec.EXTENSIONS:
        path = case.place().with_suffix(extension)
        does_not_recognise(case, path, "a file that does not exist")
        path.mkdir()
        does_not_recognise(case, path, "a folder")
        for subject, content in contents.items():
            path = case.place().with_suffix(extension)
            path.write_bytes(content)
            does_not_recognise(case, path, f"{subject} whose name ends in {extension}")


def does_not_recognise(case: FormatCase, path: Path, subject: str) -> None:
    try:
        answer = case.codec.recognise(path)  # type: ignore[attr-defined]
    except Exception as error:
        raise AssertionError(
            f"`recognise` of {case.name} must return None for {subject}; it raised {error!r}. "
            "`labelgrid.formats.heads.head_of` raises nothing."
        ) from error
    expect(
        answer is None,
        f"`recognise` of {case.name} must return None for {subject}; it returned {answer!r}.",
    )


def it_does_not_import_torch(case: FormatCase) -> None:
    run = run_alone(ALONE, case.name, str(case.folder))
    expect(
        run.returncode == 0,
        f"{case.name} must be imported, and write, read and describe, without importing torch, "
        f"since light commands use it; it ended with {run.returncode}: {run.stderr[-400:]}",
    )


def use(case: FormatCase) -> None:
    """Use all functions of a format once."""
    options = case.options()
    path = case.write(case.label(), options)
    case.read(path, options)
    case.codec.describe(options)
    recognitions({case.name: case.codec}, path)


def case_of(subject: Subject, place: Path) -> FormatCase:
    """A format, whose files go into a folder."""
    return FormatCase(subject.name, place)


LAWS: tuple[Callable[[FormatCase], None], ...] = (
    it_declares_what_it_holds,
    what_it_writes_it_reads,
    written_again_a_label_stays_the_same,
    pixels_without_a_label_come_back_or_are_refused,
    it_writes_one_file_with_its_first_extension,
    a_truncated_file_is_refused,
    a_foreign_file_is_refused,
    it_describes_its_file_in_a_sentence_first,
    the_size_in_the_header_is_the_label_s,
    what_it_writes_it_recognises_before_all_others,
    what_it_cannot_read_it_does_not_recognise,
    it_does_not_import_torch,
)
