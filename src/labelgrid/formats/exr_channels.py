"""Finds the channels of an EXR file with depth or normals, by the names that renderers use."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import open_regular, read_bytes
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import join_names
from labelgrid.formats.arrays import file_errors
from labelgrid.formats.exr import Channel, channels_of, decode
from labelgrid.images.opening import max_bytes, refuse_other_format

#: How many bytes of a file are read to recognise it.
START = 2**20
#: The names of depth: Blender writes Z in a file of several layers, V in one for each.
_DEPTHS = ("Z", "V", "Depth")
_COLOURS = "RGB"
#: The last part of a layer's name that holds normals; "" for channels without a layer.
_LAYERS = ("", "Normal", "Normals", "N")


def depth_names(names: Sequence[str]) -> list[str]:
    """The channels that may hold depth; several if no channel is the likeliest.

    Three colours, which may be equal, are given as `RGB`.

    Example:
        >>> depth_names(["View.Depth.Z", "View.Combined.R", "View.Mist.Z"])
        ['View.Depth.Z']
        >>> depth_names(["B", "G", "R"])
        ['RGB']
    """
    vectors = set(chain.from_iterable(_triples(set(names), "XYZ").values()))
    named = [name for name in names if _is_depth(name) and name not in vectors]
    if named or len(names) == 1:
        return named or list(names)
    if "Y" in names and "Y" not in vectors:
        return ["Y"]
    if set(_COLOURS) <= set(names):
        return [_COLOURS]
    return []


def _is_depth(name: str) -> bool:
    """Whether a channel is `Z`, `V` or `depth`, alone or in a layer called `Depth`."""
    layers = name.title().split(".")
    return layers[-1] in _DEPTHS and layers[-2:-1] in ([], ["Depth"])


def normal_names(names: Iterable[str]) -> dict[str, list[str]]:
    """The triples of channels that may hold normals, by the name of the triple.

    Example:
        >>> normal_names(["View.Normal.X", "View.Normal.Y", "View.Normal.Z", "R", "G", "B"])
        {'View.Normal.XYZ': ['View.Normal.X', 'View.Normal.Y', 'View.Normal.Z']}
    """
    by_axes = _triples(set(names), "XYZ")
    by_colours = _triples(set(names), _COLOURS)
    colours = by_colours.pop(_COLOURS, None)
    for triples in (by_axes, by_colours):
        normals = {}
        for name in triples:
            if _layer_of(name) in _LAYERS:
                normals[name] = triples[name]
        if normals:
            return normals
    if not colours:
        return {}
    return {_COLOURS: colours}


def _layer_of(name: str) -> str:
    """The last part of the name of a channel's layer, with a capital; "" without a layer."""
    return ("", *name.title().split("."))[-2]


def _triples(names: set[str], letters: str) -> dict[str, list[str]]:
    """Layer and letters -> the channels of the layer with these letters."""
    triples = {}
    for first in sorted(names):
        prefix = first[:-1]
        members = [prefix + letter for letter in letters]
        if prefix[-1:] in ("", ".") and first == members[0] and names.issuperset(members):
            triples[prefix + letters] = members
    return triples


def read_depth(path: Path, channel: str | None) -> Array:
    """The numbers [h, w] of the channel that holds depth.

    Raises:
        LabelError: no channel or several may hold depth, none has the declared name, three colours
            differ, or the file is damaged.
    """

    def choose(names: Mapping[str, Channel]) -> list[str]:
        chosen = channel or _only(depth_names(list(names)), names, "Depth.Z", path)
        if chosen == _COLOURS and chosen not in names:
            return list(_COLOURS)
        return [chosen]

    arrays = _read(path, choose)
    for other in arrays[1:]:
        if not np.array_equal(arrays[0], other, equal_nan=True):
            raise LabelError(
                "The file holds colours, not depth: its channels R, G and B differ.",
                where=path,
                next_step="Render the depth pass.",
            )
    return arrays[0]


def read_normals(path: Path, channel: str | None) -> Array:
    """The vectors [h, w, 3] of the three channels that hold normals.

    A declared `channel` names all three, such as `View.Normal.XYZ`.
    """

    def choose(names: Mapping[str, Channel]) -> list[str]:
        chosen = channel
        if chosen is None:
            chosen = _only(list(normal_names(names)), names, "Normal.XYZ", path)
        return [chosen[:-3] + letter for letter in chosen[-3:]]

    return np.stack(_read(path, choose), -1)


def _only(chosen: Sequence[str], names: Iterable[str], usual: str, path: Path) -> str:
    if len(chosen) == 1:
        return chosen[0]
    example = usual
    held = (
        f"None of its channels is called as usual, such as {usual}: {join_names(list(names), 9)}."
    )
    if chosen:
        example = chosen[0]
        held = f"Several of its channels may be the label: {join_names(chosen, 9)}."
    raise LabelError(
        held,
        where=path,
        next_step=f'Declare the one that is meant, such as `channel = "{example}"`.',
        declare={"channel": example},
    )


def _read(path: Path, choose: Callable[[Mapping[str, Channel]], Sequence[str]]) -> list[Array]:
    with file_errors(path):
        data = read_bytes(path, max_bytes())
        if not data:
            raise ValueError("it is empty")
        refuse_other_format(data, path)
        channels = channels_of(data)
        usable = {name: channel for name, channel in channels.items() if _is_usable(channel)}
        chosen = choose(usable)
        missing = [name for name in chosen if name not in usable]
        if missing:
            raise LabelError(
                f"The file has no channel {missing[0]!r} of floating-point numbers.",
                where=path,
                next_step=f"It has {join_names(list(usable), 9)}.",
            )
        return decode(data, [usable[name] for name in chosen])


def _is_usable(channel: Channel) -> bool:
    return channel.is_whole and channel.dtype.kind == "f"


def stored_size(path: Path) -> Size:
    """Height and width from the file's header."""
    with file_errors(path):
        channels = channels_of(read_bytes(path, max_bytes()))
        if not channels:
            raise ValueError("it has no channels")
        return next(iter(channels.values())).display.size


def names_in(path: Path) -> list[str]:
    """The channels of floating-point numbers in a file's header; none for a damaged file.

    At most 1 MiB is read. It raises nothing.
    """
    try:
        with file_errors(path), open_regular(path) as file:
            data = file.read(START)
            refuse_other_format(data, path)
            channels = channels_of(data)
    except LabelError:
        return []
    names = []
    for name, channel in channels.items():
        if _is_usable(channel):
            names.append(name)
    return names
