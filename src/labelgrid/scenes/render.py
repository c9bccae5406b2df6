"""Renders a scene with Mitsuba, by path tracing from a seed."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import PluginError
from labelgrid.scenes.denoising import denoise, remove_fireflies
from labelgrid.scenes.ray_casting import RayHits, Size
from labelgrid.scenes.rooms import Scene
from labelgrid.scenes.solids import Material, Solid

#: The number of surfaces on a light path, including the light.
BOUNCES = 2
#: The shapes that emit a solid's light: one per solid, because every light costs samples.
LIT = ("pane", "side")


@functools.cache
def mitsuba() -> Any:
    """Import Mitsuba in the variant that needs no other software.

    Raises:
        PluginError: it is not installed.
    """
    try:
        import mitsuba as loaded
    except ImportError as error:
        raise PluginError(
            "Scenes are rendered by Mitsuba, which is not installed.",
            next_step="Run `pip install mitsuba`.",
        ) from error
    loaded.set_variant("scalar_rgb")
    return loaded


def render(scene: Scene, hits: RayHits, samples: int, seed: int) -> NDArray[np.uint8]:
    """The picture of a scene, uint8 sRGB [h, w, 3], from `samples` light paths per pixel.

    `hits` guides denoising.
    """
    height, width = hits.solid.shape
    linear = np.array(
        mitsuba().render(load(scene, (height, width), samples), spp=samples, seed=seed), np.float64
    )
    return np.rint(255 * denoise(_developed(remove_fireflies(linear)), hits.solid)).astype(np.uint8)


def load(scene: Scene, size: Size, samples: int) -> Any:
    """The scene as a Mitsuba object; its shapes are named by the numbers of their solids."""
    with tempfile.TemporaryDirectory(prefix="labelgrid-") as folder:
        ball = Path(folder, "ball.ply")
        _write_ball(ball)
        # Optimising would merge equal shapes and lose their names.
        return mitsuba().load_dict(_scene(scene, size, samples, ball), optimize=False)


def _developed(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map radiance to sRGB tones in [0, 1], like film: the median becomes grey, with deep shadows and soft lights."""
    exposed = 1 - np.exp(-0.22 * (linear / max(float(np.median(linear)), 1e-4)) ** 1.25)
    return np.where(exposed <= 0.0031308, 12.92 * exposed, 1.055 * exposed ** (1 / 2.4) - 0.055)


def _scene(scene: Scene, size: Size, samples: int, ball: Path) -> dict[str, Any]:
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
    description: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": BOUNCES},
        "sensor": sensor,
    }
    for number, solid in enumerate(scene.solids):
        shapes = _shapes(mi, solid, ball)
        bsdf = _bsdf(mi, solid.material)
        for name, shape in shapes.items():
            light = _light(solid.material) if name in LIT else {}
            description[f"solid_{number}_{name}"] = {
                **shape,
                "id": f"solid_{number}_{name}",
                **bsdf,
                **light,
            }
    return description


def _shapes(mi: Any, solid: Solid, ball: Path) -> dict[str, dict[str, Any]]:
    """A solid as shapes of Mitsuba; a tube has two lids, and `ball` is the file of a unit ball."""
    transform = mi.ScalarTransform4f(solid.transform)
    if solid.shape == "sphere":  # Mitsuba's own sphere cannot be stretched
        return {"whole": {"type": "ply", "filename": str(ball), "to_world": transform}}
    lid = mi.ScalarTransform4f
    if solid.shape == "cube":
        pane = {
            "pane": {"type": "rectangle", "to_world": transform @ lid().translate([0, 0, 1.05])}
        }
        return {"whole": {"type": "cube", "to_world": transform}} | (
            pane if solid.material.light else {}
        )
    return {
        "side": {
            "type": "cylinder",
            "p0": [0, 0, -1],
            "p1": [0, 0, 1],
            "radius": 1.0,
            "to_world": transform,
        },
        "top": {"type": "disk", "to_world": transform @ lid().translate([0, 0, 1])},
        "base": {
            "type": "disk",
            "to_world": transform @ lid().translate([0, 0, -1]) @ lid().rotate([1, 0, 0], 180),
        },
    }


def _write_ball(path: Path) -> None:
    """Write a unit ball of triangles with smooth normals."""
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 33)[:-1], np.linspace(0, np.pi, 17))
    points = np.stack(
        [np.sin(up) * np.cos(around), np.cos(up), np.sin(up) * np.sin(around)], -1
    ).reshape(-1, 3)
    corner = np.arange(17 * 32).reshape(17, 32)
    a = corner[:-1]
    b = np.roll(corner, -1, 1)[:-1]
    c = corner[1:]
    d = np.roll(corner, -1, 1)[1:]
    faces = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)]
    )
    names = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{names}"
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    triangles = np.empty(len(faces), [("n", "u1"), ("corners", "<i4", 3)])
    triangles["n"] = 3
    triangles["corners"] = faces
    path.write_bytes(
        head.encode() + np.hstack([points, points]).astype("<f4").tobytes() + triangles.tobytes()
    )


def _bsdf(mi: Any, material: Material) -> dict[str, Any]:
    """The reflectance of a material as a BSDF of Mitsuba."""
    paint: dict[str, Any] = {"type": "rgb", "value": list(material.colour)}
    if material.pattern != "plain":
        across = [material.repeats, material.repeats if material.pattern == "checks" else 1, 1]
        second = {"type": "rgb", "value": list(material.second)}
        paint = {
            "type": "checkerboard",
            "color0": paint,
            "color1": second,
            "to_uv": mi.ScalarTransform4f().scale(across),
        }
    surface: dict[str, Any] = {"type": "diffuse", "reflectance": paint}
    if material.gloss:
        surface = {
            "type": "principled",
            "base_color": paint,
            "roughness": 1 - 0.8 * material.gloss,
            "specular": 0.5,
        }
    return {"bsdf": {"type": "twosided", "inner": surface}}


def _light(material: Material) -> dict[str, Any]:
    radiance = {"type": "rgb", "value": [material.light * c for c in material.colour]}
    return {"emitter": {"type": "area", "radiance": radiance}} if material.light else {}
