"""Compares ONNX Runtime with the networks it was given: differences by task, and time against torch.

Each network has the width of the recipe `small`, three tasks, and known labels if it has two
stages. The differences are the largest of 20 images of odd sizes, in parts of the largest value,
beside those of the network in double precision: with random weights, normals have almost no length
before they are normalised.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import onnxruntime
import torch
from _made import network_of, recipe, task_definitions
from _measure import check_limit, interleaved, machine

from labelgrid.exporting.export_model import IMAGES
from labelgrid.exporting.exported_network import ExportedNetwork
from labelgrid.exporting.onnx_file import TIMES, TOLERANCE, differences, write_onnx
from labelgrid.nets.network import example_output
from labelgrid.tasks.task import build_all


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--networks", nargs="+", default=["shared_heads", "aspp_heads", "pad_net", "mti_net"]
    )
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args(words)
    print(machine())
    held = [measure(name, options) for name in options.networks]
    return 0 if all(held) else 1


def measure(name: str, options: argparse.Namespace) -> bool:
    tasks = build_all(task_definitions())
    settings = recipe(tiny=options.tiny)
    if name != settings.network.name:
        settings = recipe(name, tiny=options.tiny)
    network = network_of(tasks, of=settings).eval()
    exported = ExportedNetwork(network, tasks, list(tasks), settings.data).eval()
    known = ["depth"] if example_output(network).initial else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(exported, path, known, {})
        largest = dict.fromkeys(tasks, 0.0)
        rounding = dict.fromkeys(tasks, 0.0)
        for by_task in differences(exported, path, known, options.images):
            for task, difference in by_task.items():
                largest[task] = max(largest[task], difference.largest)
                rounding[task] = max(rounding[task], difference.rounding)
        ratio = slowdown(exported, path, options)
    told = ", ".join(
        f"{task} {largest[task]:.1e} (rounding {rounding[task]:.1e})" for task in tasks
    )
    print(f"{name}: {told}; {ratio:.2f} x torch's time, without known labels")
    allowed = [max(TOLERANCE, TIMES * rounding[task]) for task in tasks]
    most = max(value / limit for value, limit in zip(largest.values(), allowed, strict=True))
    return check_limit(f"{name}: the largest difference, of what is allowed", most, 1.0)


def slowdown(exported: ExportedNetwork, path: Path, options: argparse.Namespace) -> float:
    """The time of ONNX Runtime over torch's, one image of the recipe's size at a time."""
    choices = onnxruntime.SessionOptions()
    choices.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, choices)
    image = torch.rand(1, 3, *exported.data.size)
    fed = {"image": image.numpy()}
    labels = {}
    for one in session.get_inputs()[1:]:
        channels = one.shape[1]
        kind = torch.bool if one.name.endswith("_valid") else torch.float32
        labels[one.name] = torch.zeros(1, channels, *exported.data.size, dtype=kind)
    fed |= {key: value.numpy() for key, value in labels.items()}

    def in_torch() -> None:
        with torch.inference_mode():
            exported(image)

    sides = {"onnx": lambda: session.run(None, fed), "torch": in_torch}
    times = interleaved(sides, options.repeats)
    return times["onnx"].over(times["torch"])


if __name__ == "__main__":
    sys.exit(main())
