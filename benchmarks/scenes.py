"""Measures the time to render a room with all its labels.

Compares the labels with the renderer alone, which is asked for one ray per pixel. Then measures the
whole command, including processes and files, in processor seconds per image, because processes
share the cores.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _measure import check_limit, command, interleaved, labelgrid, machine, show

from labelgrid.lab.scenes.ray_casting import Size, cast
from labelgrid.lab.scenes.render import load, mitsuba
from labelgrid.lab.scenes.rooms import Scene, make_scene

#: The limit in processor seconds per image: 0.3 s of wall time on two cores.
BAR = 0.6
SIZE = (96, 128)


def one_by_one(loaded: Any, scene: Scene, size: Size) -> tuple[Any, Any, Any]:
    """The baseline: the renderer intersects each pixel's ray."""
    height, width = size
    sensor = loaded.sensors()[0]
    solid = np.full(size, -1, np.int64)
    depth = np.zeros(size, np.float32)
    normals = np.zeros((*size, 3), np.float32)
    into = scene.camera[:3, :3].T
    for row in range(height):
        for column in range(width):
            ray, _ = sensor.sample_ray(
                0.0, 0.5, [(column + 0.5) / width, (row + 0.5) / height], [0.5, 0.5]
            )
            hit = loaded.ray_intersect(ray)
            if not hit.is_valid():
                continue
            direction = into @ np.array(ray.d).ravel()
            normal = into @ np.array(hit.sh_frame.n).ravel()
            solid[row, column] = int(hit.shape.id().partition("solid_")[2].partition("_")[0])
            depth[row, column] = -(into @ (np.array(hit.p).ravel() - scene.camera[:3, 3]))[2]
            normals[row, column] = normal if normal @ direction < 0 else -normal
    return solid, depth, normals


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(words)
    print(machine())
    mitsuba()
    scene = make_scene(0, 0)
    loaded = load(scene, SIZE, 16)
    times = interleaved(
        {
            "labels by casting": lambda: cast(scene, SIZE),
            "a ray a pixel": lambda: one_by_one(loaded, scene, SIZE),
        },
        options.repeats,
    )
    show(times)
    cast_, asked = (median(side.processor) for side in times.values())
    print(f"labels: {asked / cast_:.3g} x faster than asking the renderer pixel by pixel")
    with tempfile.TemporaryDirectory() as folder:
        ran = command(labelgrid("scenes", str(Path(folder) / "rooms"), "--count", options.count))
    print(
        f"labelgrid scenes --count {options.count}: {ran.seconds / options.count:.3g} s an image on the clock"
    )
    return (
        0
        if check_limit("processor seconds an image", ran.processor / options.count, BAR, "s")
        else 1
    )


if __name__ == "__main__":
    raise SystemExit(main())
