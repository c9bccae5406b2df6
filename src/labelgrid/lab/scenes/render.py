"""Renders a scene with Mitsuba, by path tracing from a seed."""

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Bytes, Floats, Ints
from labelgrid.basics.errors import PluginError
from labelgrid.basics.type_names import Json, Size
from labelgrid.lab.scenes.ray_casting import RayHits
from labelgrid.lab.scenes.rooms import Scene
from labelgrid.lab.scenes.solids import Material, Solid

#: The number of surfaces on a light path, including the light.
BOUNCES = 2
#: The shapes that emit a solid's light: one per solid, because every light costs samples.
LIT = ("pane", "side")
Number = TypeVar("Number", bound=np.generic)
#: The radius of the average, in pixels.
REACH = 2
#: The scale of tone differences in [0, 1] within one surface: larger than noise, smaller than a
#: pattern.
TONE_SCALE = 0.06
#: The limit of a pixel relative to the median of its neighbourhood, plus a tenth of the picture's
#: median.
CAP = 2.0


@functools.cache
def mitsuba() -> Any:
    """Import Mitsuba in the variant without other dependencies.

    Raises:
        PluginError: it is not installed.
    """
    try:
        import mitsuba as loaded
    except ImportError as error:
        raise PluginError(
            "Scenes are rendered by Mitsuba, which is not installed.",
            next_step="Install it: pip install 'labelgrid[lab]'.",
        ) from error
    loaded.set_variant("scalar_rgb")
    return loaded


def render(scene: Scene, hits: RayHits, samples: int, seed: int) -> Bytes:
    """The picture of a scene, uint8 sRGB [h, w, 3], from `samples` light paths per pixel.

    The hits guide the denoising.
    """
    height, width = hits.solid.shape
    loaded = load(scene, (height, width), samples)
    linear = np.array(mitsuba().render(loaded, spp=samples, seed=seed), np.float64)
    tones = _develop(remove_fireflies(linear))
    return np.rint(255 * denoise(tones, hits.solid)).astype(np.uint8)


def load(scene: Scene, size: Size, samples: int) -> Any:
    """The scene as a Mitsuba object, whose shapes are named by the numbers of their solids."""
    mi = mitsuba()
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])  # Mitsuba's cameras look along +z, with x to the left
    film = {"type": "hdrfilm", "width": size[1], "height": size[0], "rfilter": {"type": "box"}}
    sensor = {
        "type": "perspective",
        "fov": scene.fov,
        "to_world": mi.ScalarTransform4f(scene.camera @ flip),
        "film": film,
        "sampler": {"type": "multijitter", "sample_count": samples},
    }
    description: Json = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": BOUNCES},
        "sensor": sensor,
    }
    with tempfile.TemporaryDirectory(prefix="labelgrid-") as folder:
        ball = Path(folder, "ball.ply")
        _write_ball(ball)
        for number, solid in enumerate(scene.solids):
            bsdf = _bsdf(mi, solid.material)
            light = _light(solid.material)
            for name, shape in _shapes(mi, solid, ball).items():
                emitter = light if name in LIT else {}
                shape_id = f"solid_{number}_{name}"
                description[shape_id] = {**shape, "id": shape_id, **bsdf, **emitter}
        # Optimising would merge equal shapes and lose their names.
        return mi.load_dict(description, optimize=False)


def _develop(linear: Floats) -> Floats:
    """Map radiance to sRGB tones in [0, 1], as film does.

    The median becomes grey, with deep shadows and soft lights.
    """
    median = max(float(np.median(linear)), 1e-4)
    exposed = 1 - np.exp(-0.22 * (linear / median) ** 1.25)
    return np.where(exposed <= 0.0031308, 12.92 * exposed, 1.055 * exposed ** (1 / 2.4) - 0.055)


def _shapes(mi: Any, solid: Solid, ball: Path) -> dict[str, Json]:
    """A solid as shapes of Mitsuba; a tube has two lids, and `ball` is the file of a unit ball."""
    transform = mi.ScalarTransform4f(solid.transform)
    if solid.shape == "sphere":  # Mitsuba's own sphere cannot be stretched
        return {"whole": {"type": "ply", "filename": str(ball), "to_world": transform}}
    move = mi.ScalarTransform4f().translate
    if solid.shape == "cube":
        shapes: dict[str, Json] = {"whole": {"type": "cube", "to_world": transform}}
        if solid.material.light:
            front = transform @ move([0, 0, 1.05])
            shapes["pane"] = {"type": "rectangle", "to_world": front}
        return shapes
    side = {"type": "cylinder", "p0": [0, 0, -1], "p1": [0, 0, 1], "radius": 1.0}
    top = transform @ move([0, 0, 1])
    base = transform @ move([0, 0, -1]) @ mi.ScalarTransform4f().rotate([1, 0, 0], 180)
    return {
        "side": {**side, "to_world": transform},
        "top": {"type": "disk", "to_world": top},
        "base": {"type": "disk", "to_world": base},
    }


def _write_ball(path: Path) -> None:
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 33)[:-1], np.linspace(0, np.pi, 17))
    x = np.sin(up) * np.cos(around)
    z = np.sin(up) * np.sin(around)
    points = np.stack([x, np.cos(up), z], -1).reshape(-1, 3)
    corner = np.arange(17 * 32).reshape(17, 32)
    a = corner[:-1]
    b = np.roll(corner, -1, 1)[:-1]
    c = corner[1:]
    d = np.roll(corner, -1, 1)[1:]
    first = np.stack([a, b, c], -1).reshape(-1, 3)
    second = np.stack([b, d, c], -1).reshape(-1, 3)
    faces = np.concatenate([first, second])
    names = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{names}"
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    triangles = np.empty(len(faces), [("n", "u1"), ("corners", "<i4", 3)])
    triangles["n"] = 3
    triangles["corners"] = faces
    vertices = np.hstack([points, points]).astype("<f4")
    path.write_bytes(head.encode() + vertices.tobytes() + triangles.tobytes())


def _bsdf(mi: Any, material: Material) -> Json:
    paint: Json = {"type": "rgb", "value": list(material.colour)}
    if material.pattern != "plain":
        across = [material.repeats, 1, 1]
        if material.pattern == "checks":
            across[1] = material.repeats
        second = {"type": "rgb", "value": list(material.second)}
        paint = {
            "type": "checkerboard",
            "color0": paint,
            "color1": second,
            "to_uv": mi.ScalarTransform4f().scale(across),
        }
    surface: Json = {"type": "diffuse", "reflectance": paint}
    if material.gloss:
        surface = {
            "type": "principled",
            "base_color": paint,
            "roughness": 1 - 0.8 * material.gloss,
            "specular": 0.5,
        }
    return {"bsdf": {"type": "twosided", "inner": surface}}


def _light(material: Material) -> Json:
    if not material.light:
        return {}
    radiance = {"type": "rgb", "value": [material.light * value for value in material.colour]}
    return {"emitter": {"type": "area", "radiance": radiance}}


def remove_fireflies(linear: Floats) -> Floats:
    """Remove fireflies from radiance [h, w, 3].

    These are single bright pixels where one path of many hit a light.
    """
    around = cv2.medianBlur(linear.astype(np.float32), 3).astype(np.float64)
    return np.minimum(linear, CAP * around + 0.1 * np.median(linear))


def denoise(tones: Floats, solid: Ints) -> Floats:
    """Average tones [h, w, 3] in [0, 1] over pixels of the same solid with similar surroundings."""
    guide = _average(tones, _same_neighbours(solid, 1)[..., None], 1)
    apart = np.stack([((other - guide) ** 2).sum(-1) for other in _shifts(guide, REACH)])
    weights = _same_neighbours(solid, REACH) * np.exp(-apart / (2 * TONE_SCALE**2))
    return _average(tones, weights[..., None], REACH)


def _same_neighbours(solid: Ints, reach: int) -> Bools:
    """Which neighbours of each pixel are of the same solid, bool [neighbours, h, w]."""
    return np.stack(list(_shifts(solid, reach))) == solid


def _average(tones: Floats, weights: Floats | Bools, reach: int) -> Floats:
    """The weighted mean of each pixel's neighbours, given weights [neighbours, h, w, 1]."""
    total = np.zeros_like(tones)
    for weight, other in zip(weights, _shifts(tones, reach), strict=True):
        total += weight * other
    return total / weights.sum(0)


def _shifts(values: NDArray[Number], reach: int) -> Iterator[NDArray[Number]]:
    """Yield the values shifted to each neighbour.

    Beyond the border, the border's value is repeated.
    """
    margins = [(reach, reach), (reach, reach)] + [(0, 0)] * (values.ndim - 2)
    padded = np.pad(values, margins, "edge")
    height, width = values.shape[:2]
    for down in range(2 * reach + 1):
        for along in range(2 * reach + 1):
            yield padded[down : down + height, along : along + width]
