"""Defines the solids of scenes, with material and class.

Lengths are in metres; x is right, y up, z toward the viewer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Shape = Literal["cube", "sphere", "tube"]
Pattern = Literal["plain", "checks", "stripes"]
Colour = tuple[float, float, float]
#: The corners of the cube of unit half-width that holds every solid, as homogeneous columns.
CORNERS: Matrix = np.array([(x, y, z, 1.0) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]).T


@dataclass(frozen=True, kw_only=True)
class Material:
    """The material of a surface.

    Args:
        colour: the reflectance of red, green and blue.
        second: the reflectance of the other fields of a pattern.
        pattern: plain, checks or stripes.
        repeats: the number of fields of the pattern across a surface.
        gloss: 0 is matt, 1 is polished.
        light: the radiance that a cube emits forward (its +z) or a tube from its side; 0 for none.
    """

    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: Pattern = "plain"
    repeats: int = 8
    gloss: float = 0.0
    light: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A cube, sphere or tube of unit half-width, transformed to its place in the scene.

    Args:
        shape: cube, sphere or tube.
        transform: places it in the scene, float64 [4, 4].
        material: the material of its surface.
        label: its class.
        part: the part of a person; "" for none.
        thing: the number of its object in the scene; 0 is the room.
    """

    shape: Shape
    transform: Matrix
    material: Material
    label: str
    part: str = ""
    thing: int = 0


def translation(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Matrix:
    """A translation, float64 [4, 4].

    Example:
        >>> (translation(y=2.0) @ np.array([1.0, 0.0, 0.0, 1.0])).tolist()
        [1.0, 2.0, 0.0, 1.0]
    """
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def scaling(x: float, y: float, z: float) -> Matrix:
    """A scaling along the axes, float64 [4, 4]."""
    return np.diag([x, y, z, 1.0])


def rotation(axis: Literal["x", "y", "z"], degrees: float) -> Matrix:
    """A right-handed rotation about an axis, float64 [4, 4]."""
    c = np.cos(np.radians(degrees))
    s = np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(4)
    matrix[i, i] = c
    matrix[i, j] = -s
    matrix[j, i] = s
    matrix[j, j] = c
    return matrix


def cube(size: Sequence[float], at: Sequence[float], material: Material, label: str) -> Solid:
    """A box of full `size`, centred at `at`."""
    transform = translation(*at) @ scaling(*(np.asarray(size) / 2))
    return Solid(shape="cube", transform=transform, material=material, label=label)


def ball(
    radii: Sequence[float], at: Sequence[float], material: Material, label: str, part: str = ""
) -> Solid:
    """An ellipsoid with `radii` along the axes, centred at `at`."""
    transform = translation(*at) @ scaling(*radii)
    return Solid(shape="sphere", transform=transform, material=material, label=label, part=part)


def tube(
    radius: float, height: float, at: Sequence[float], material: Material, label: str
) -> Solid:
    """An upright cylinder with lids, centred at `at`."""
    transform = translation(*at) @ rotation("x", -90) @ scaling(radius, radius, height / 2)
    return Solid(shape="tube", transform=transform, material=material, label=label)


def place_object(solids: Iterable[Solid], transform: Matrix, thing: int = 0) -> list[Solid]:
    """The solids of an object, transformed to its place in the scene."""
    return [replace(solid, transform=transform @ solid.transform, thing=thing) for solid in solids]
