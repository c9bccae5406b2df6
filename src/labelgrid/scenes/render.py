"""How a scene becomes a picture and exact maps: Mitsuba renders, one ray at each pixel's centre tells the truth.

The picture's samples are drawn from a seed; the maps are not drawn at all. What an integrator would blend at a border
or measure along the ray is asked for point by point: depth along the camera's axis, normals in the camera's frame.
"""

import atexit
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import PluginError
from labelgrid.scenes.rooms import Scene
from labelgrid.scenes.solids import Material, Solid

Size = tuple[int, int]


@dataclass(frozen=True)
class Rendered:
    """A picture and what is seen at each pixel's centre.

    Args:
        image: uint8 [h, w, 3], sRGB.
        solid: int64 [h, w], the place in `Scene.solids`; -1 where nothing is hit.
        depth: float32 [h, w], metres along the camera's axis; 0 where nothing is hit.
        normals: float32 [h, w, 3], x right, y up, z toward the camera; zero where nothing is hit.
    """

    image: NDArray[np.uint8]
    solid: NDArray[np.int64]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]


@functools.cache
def mitsuba() -> Any:
    """Mitsuba, in its variant that needs nothing else installed.

    Raises:
        PluginError: it is not installed.
    """
    try:
        import mitsuba as found
    except ImportError as error:
        raise PluginError(
            "Scenes are rendered by Mitsuba, which is not installed.",
            next_step='Run `pip install "labelgrid[scenes]"`.',
        ) from error
    found.set_variant("scalar_rgb")
    return found


def render(scene: Scene, size: Size, samples: int, seed: int) -> Rendered:
    """Render a scene at (height, width) with so many samples a pixel."""
    mi = mitsuba()
    loaded = mi.load_dict(_scene(scene, size, samples), optimize=False)  # else like shapes become one, without names
    linear = np.array(mi.render(loaded, spp=samples, seed=seed), np.float64)
    return Rendered(_developed(linear), *_truth(mi, loaded, scene, size))


def _developed(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Radiance as an sRGB picture, exposed so that its middle is a middle grey."""
    exposed = linear * (0.2 / max(float(np.median(linear)), 1e-4))
    exposed = np.clip(exposed, 0, 1)
    curve = np.where(exposed <= 0.0031308, 12.92 * exposed, 1.055 * exposed ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve).astype(np.uint8)


def _truth(mi: Any, loaded: Any, scene: Scene, size: Size) -> tuple[Any, Any, Any]:
    height, width = size
    sensor = loaded.sensors()[0]
    solid = np.full(size, -1, np.int64)
    depth, normals = np.zeros(size, np.float32), np.zeros((*size, 3), np.float32)
    into = scene.camera[:3, :3].T
    for row in range(height):
        for column in range(width):
            ray, _ = sensor.sample_ray(0.0, 0.5, [(column + 0.5) / width, (row + 0.5) / height], [0.5, 0.5])
            hit = loaded.ray_intersect(ray)
            if not hit.is_valid():
                continue
            direction, normal = into @ np.array(ray.d).ravel(), into @ np.array(hit.sh_frame.n).ravel()
            solid[row, column] = int(hit.shape.id().partition("solid_")[2].partition("_")[0])
            depth[row, column] = -(into @ (np.array(hit.p).ravel() - scene.camera[:3, 3]))[2]
            normals[row, column] = normal if normal @ direction < 0 else -normal
    return solid, depth, normals


def _scene(scene: Scene, size: Size, samples: int) -> dict[str, Any]:
    mi = mitsuba()
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])  # Mitsuba's cameras look along +z, with x to the left
    film = {"type": "hdrfilm", "width": size[1], "height": size[0], "rfilter": {"type": "box"}}
    sensor = {
        "type": "perspective",
        "fov": scene.fov,
        "to_world": mi.ScalarTransform4f(scene.camera @ flip),
        "film": film,
        "sampler": {"type": "independent", "sample_count": samples},
    }
    found: dict[str, Any] = {"type": "scene", "integrator": {"type": "path", "max_depth": 4}, "sensor": sensor}
    for number, solid in enumerate(scene.solids):
        for name, shape in _shapes(mi, solid).items():
            found[f"solid_{number}_{name}"] = {**shape, "id": f"solid_{number}_{name}", **_look(mi, solid.material)}
    return found


def _shapes(mi: Any, solid: Solid) -> dict[str, dict[str, Any]]:
    """The solid in Mitsuba's shapes; a tube has two lids."""
    place = mi.ScalarTransform4f(solid.place)
    if solid.shape == "sphere":  # Mitsuba's own cannot be stretched
        return {"whole": {"type": "ply", "filename": _ball_file(), "to_world": place}}
    if solid.shape == "cube":
        return {"whole": {"type": "cube", "to_world": place}}
    lid = mi.ScalarTransform4f
    return {
        "side": {"type": "cylinder", "p0": [0, 0, -1], "p1": [0, 0, 1], "radius": 1.0, "to_world": place},
        "top": {"type": "disk", "to_world": place @ lid().translate([0, 0, 1])},
        "base": {"type": "disk", "to_world": place @ lid().translate([0, 0, -1]) @ lid().rotate([1, 0, 0], 180)},
    }


@functools.cache
def _ball_file() -> str:
    """A unit ball of triangles with smooth normals, as a file for as long as the process runs."""
    around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 33)[:-1], np.linspace(0, np.pi, 17))
    points = np.stack([np.sin(up) * np.cos(around), np.cos(up), np.sin(up) * np.sin(around)], -1).reshape(-1, 3)
    corner = np.arange(17 * 32).reshape(17, 32)
    a, b, c, d = corner[:-1], np.roll(corner, -1, 1)[:-1], corner[1:], np.roll(corner, -1, 1)[1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    names = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{names}"
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    triangles = np.empty(len(faces), [("n", "u1"), ("corners", "<i4", 3)])
    triangles["n"], triangles["corners"] = 3, faces
    folder = tempfile.mkdtemp(prefix="labelgrid-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "ball.ply")
    path.write_bytes(head.encode() + np.hstack([points, points]).astype("<f4").tobytes() + triangles.tobytes())
    return str(path)


def _look(mi: Any, material: Material) -> dict[str, Any]:
    """The surface, and what light it gives off."""
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
        surface = {"type": "principled", "base_color": paint, "roughness": 1 - 0.8 * material.gloss, "specular": 0.5}
    look: dict[str, Any] = {"bsdf": {"type": "twosided", "inner": surface}}
    if material.light:
        look["emitter"] = {
            "type": "area",
            "radiance": {"type": "rgb", "value": [material.light * c for c in material.colour]},
        }
    return look
