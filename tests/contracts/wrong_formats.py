"""Label formats that each break one law: a right one with one fault."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.formats.arrays import check_any_valid, one_channel, samples, save_array
from labelgrid.formats.codec import Form, LabelArray
from labelgrid.formats.heads import head_of


class Right:
    """One number a pixel in a `.npy` file; NaN where there is none."""

    EXTENSIONS = (".npy",)
    CHANNELS = 1
    DTYPE = np.float32
    EXAMPLES: tuple[tuple[float, ...], ...] = ((0.5,), (2.0,), (-3.0,))

    @dataclass(frozen=True)
    class Options(Form):
        """No options."""

    @staticmethod
    def read(path: Path, _options: Form) -> LabelArray:
        stored = one_channel(samples(path), path, "A map of numbers").astype(np.float32)
        valid = np.isfinite(stored)
        check_any_valid(valid, path, "NaN and infinite are not")
        return LabelArray(np.where(valid, stored, 0)[..., None].astype(np.float32), valid)

    @staticmethod
    def write(path: Path, label: LabelArray, _options: Form) -> None:
        save_array(path, np.where(label.valid, label.value[..., 0], np.nan).astype(np.float32))

    @staticmethod
    def describe(_options: Form) -> str:
        return "A .npy file of one number a pixel; NaN where there is none."

    @staticmethod
    def stored_size(_path: Path) -> tuple[int, int] | None:
        return None

    @staticmethod
    def recognise(path: Path) -> Recognition | None:
        return Recognition("a map of numbers", 0.8) if head_of(path, (".npy",)) else None


class HasNoExamples(Right):
    """Does not say which pixels it can hold."""

    EXAMPLES = None  # type: ignore[assignment]


class HasLongExamples(Right):
    """Declares pixels of two numbers in one channel."""

    EXAMPLES = ((0.5, 1.0), (2.0, 3.0))


class HasNoStride(Right):
    """Has options without those of every format."""

    @dataclass(frozen=True)
    class Options:  # type: ignore[assignment]
        """No options."""


class Halves(Right):
    """Returns half of what was written."""

    @staticmethod
    def read(path: Path, options: Form) -> LabelArray:
        label = Right.read(path, options)
        return replace(label, value=label.value / 2)


class Widens(Right):
    """Returns float64."""

    @staticmethod
    def read(path: Path, options: Form) -> LabelArray:
        label = Right.read(path, options)
        return replace(label, value=label.value.astype(np.float64))


class Drifts(Right):
    """Becomes a little larger each time it is read."""

    @staticmethod
    def read(path: Path, options: Form) -> LabelArray:
        label = Right.read(path, options)
        return replace(label, value=label.value * np.float32(1.00002))


class ForgetsTheMask(Right):
    """Returns pixels without a number as 0, and valid."""

    @staticmethod
    def read(path: Path, options: Form) -> LabelArray:
        label = Right.read(path, options)
        return replace(label, valid=np.ones(label.size, np.bool_))


class RefusesGapsWithoutAName(Right):
    """Refuses pixels without a label, and does not say in which file."""

    @staticmethod
    def write(path: Path, label: LabelArray, options: Form) -> None:
        if not label.valid.all():
            raise LabelError("Some pixels are not labelled.")
        Right.write(path, label, options)


class ChoosesItsOwnName(Right):
    """Writes a file with another extension."""

    @staticmethod
    def write(path: Path, label: LabelArray, options: Form) -> None:
        Right.write(path.with_suffix(".tiff"), label, options)


class LeavesFiles(Right):
    """Leaves a second file beside the label."""

    @staticmethod
    def write(path: Path, label: LabelArray, options: Form) -> None:
        Right.write(path, label, options)
        path.with_suffix(".txt").write_text("range: -3 to 2")


class PadsShortFiles(Right):
    """Returns zeros for a file that cannot be read."""

    @staticmethod
    def read(path: Path, options: Form) -> LabelArray:
        try:
            return Right.read(path, options)
        except LabelError:
            return LabelArray(np.zeros((6, 5, 1), np.float32), np.ones((6, 5), np.bool_))


class LetsDecodersFail(Right):
    """Raises what NumPy raises."""

    @staticmethod
    def read(path: Path, options: Form) -> LabelArray:
        np.load(path)
        return Right.read(path, options)


class DoesNotNameTheFile(Right):
    """Says that a label is wrong, and not which."""

    @staticmethod
    def read(path: Path, options: Form) -> LabelArray:
        try:
            return Right.read(path, options)
        except LabelError:
            raise LabelError("The label cannot be read.") from None


class OnlyLists(Right):
    """Describes its file by a list without a sentence."""

    @staticmethod
    def describe(_options: Form) -> str:
        return "Numbers:\n- one a pixel\n- NaN where there is none"


class SwapsTheSides(Right):
    """Returns width and height."""

    @staticmethod
    def stored_size(path: Path) -> tuple[int, int] | None:
        height, width = samples(path).shape[:2]
        return width, height


class RecognisesNothing(Right):
    """Does not recognise its own files."""

    @staticmethod
    def recognise(_path: Path) -> Recognition | None:
        return None


class IsNeverSure(Right):
    """Is less sure of its own files than the format of depth maps is."""

    @staticmethod
    def recognise(path: Path) -> Recognition | None:
        answer = Right.recognise(path)
        return answer and replace(answer, sure=0.01)


class TrustsTheName(Right):
    """Recognises every file by its extension."""

    @staticmethod
    def recognise(path: Path) -> Recognition | None:
        return Recognition("a map of numbers", 0.8) if path.suffix == ".npy" else None


class LetsTheHeadFail(Right):
    """Raises what NumPy raises."""

    @staticmethod
    def recognise(path: Path) -> Recognition | None:
        np.load(path, mmap_mode="r")
        return Recognition("a map of numbers", 0.8)


class LoadsTorch(Right):
    """Needs torch to describe its file."""

    @staticmethod
    def describe(options: Form) -> str:
        import torch

        return f"{Right.describe(options)} {torch.float32} is its type."


#: A law, a format that breaks it, and words of the message to the format's author.
BREAKS: tuple[tuple[str, type[Right], str], ...] = (
    ("it_declares_what_it_holds", HasNoExamples, "must declare EXAMPLES"),
    ("it_declares_what_it_holds", HasLongExamples, "EXAMPLES .* of CHANNELS = 1 numbers each"),
    ("it_declares_what_it_holds", HasNoStride, "Options .* extends labelgrid.formats.codec.Form"),
    ("what_it_writes_it_reads", Halves, "must return the values that were written"),
    ("what_it_writes_it_reads", Widens, "values of its DTYPE, float32"),
    ("written_again_a_label_stays_the_same", Drifts, "must return the values that were written"),
    (
        "pixels_without_a_label_come_back_or_are_refused",
        ForgetsTheMask,
        "must return the mask `valid` that was written",
    ),
    (
        "pixels_without_a_label_come_back_or_are_refused",
        RefusesGapsWithoutAName,
        "must name the file",
    ),
    ("it_writes_one_file_with_its_first_extension", ChoosesItsOwnName, r"it wrote .*label\.tiff"),
    ("it_writes_one_file_with_its_first_extension", LeavesFiles, "and nothing beside it"),
    ("a_truncated_file_is_refused", PadsShortFiles, "must refuse a file cut after"),
    ("a_truncated_file_is_refused", LetsDecodersFail, "with a LabelError; it raised"),
    ("a_foreign_file_is_refused", PadsShortFiles, "must refuse a text whose name ends in .npy"),
    ("a_foreign_file_is_refused", DoesNotNameTheFile, "must name the file"),
    ("it_describes_its_file_in_a_sentence_first", OnlyLists, "a line that stands alone"),
    ("the_size_in_the_header_is_the_label_s", SwapsTheSides, "must return height and width"),
    (
        "what_it_writes_it_recognises_before_all_others",
        RecognisesNothing,
        "a Recognition with words and a sureness",
    ),
    ("what_it_writes_it_recognises_before_all_others", IsNeverSure, "must be as sure"),
    (
        "what_it_cannot_read_it_does_not_recognise",
        TrustsTheName,
        "must return None for a file that does not exist",
    ),
    ("what_it_cannot_read_it_does_not_recognise", LetsTheHeadFail, "it raised FileNotFoundError"),
    ("it_does_not_import_torch", LoadsTorch, "without importing torch"),
)
