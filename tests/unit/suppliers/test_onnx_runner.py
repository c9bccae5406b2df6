"""Laws of the process that runs a model: what it computes, how it is kept, and how it ends.

What it refuses is in tests/hostile/test_models.py.
"""

import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelgrid.basics.errors import ModelError, UsageError
from labelgrid.suppliers import onnx_runner
from labelgrid.suppliers.onnx_runner import (
    ModelSetup,
    OnnxRunner,
    OnnxRunners,
    end_kept,
    need_runtime,
)
from tests.models import class_model, depth_model, grade_model

COVERS = ["labelgrid.suppliers.onnx_worker"]
DRAWS = np.random.default_rng(0)
IMAGE = DRAWS.integers(0, 256, (24, 40, 3), np.uint8)


def setup(path: Path, **changes: Any) -> ModelSetup:
    output = {"name": "out", "shape": [], "activation": "none", "channels": 1}
    output |= {"meaning": "numbers"} | changes.pop("output", {})
    described = {
        "name": "image",
        "shape": [1, 3, "height", "width"],
        "dtype": "float32",
        "channel_order": "RGB",
        "divisor": 255.0,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
    }
    return ModelSetup(
        digest="",
        path=str(path.with_suffix(".onnx")),
        input=described | changes.pop("input", {}),
        interpolation="bilinear",
        outputs=[output],
        seconds=60,
        memory=2**32,
        threads=changes.pop("threads", 1),
    )


def computed(runner: OnnxRunner, *images: Any) -> list[list[Any]]:
    return of_runners(OnnxRunners([runner]), *images)


def of_runners(runners: OnnxRunners, *images: Any) -> list[list[Any]]:
    return [one[0] for one in runners.run((image, image.shape[:2]) for image in images)]


def test_the_input_is_what_the_description_says(tmp_path: Path) -> None:
    mean = [0.1, 0.2, 0.3]
    std = [0.5, 0.6, 0.7]
    for order in ("RGB", "BGR"):
        path = depth_model(tmp_path)
        changes = {"mean": mean, "std": std, "channel_order": order}
        runner = OnnxRunner(setup(path, input=changes))
        ((numbers,),) = computed(runner, IMAGE)
        runner.end()
        image = IMAGE[..., ::-1] if order == "BGR" else IMAGE
        expected = ((image / 255.0 - mean) / std).mean(axis=2) * 4 + 1
        assert np.abs(numbers[..., 0] - expected).max() < 1e-5


def test_images_of_any_size_come_back_at_their_size_in_their_order(tmp_path: Path) -> None:
    images = [DRAWS.integers(0, 256, (side, 2 * side, 3), np.uint8) for side in (8, 33, 16, 9)]
    runner = OnnxRunner(setup(depth_model(tmp_path)))
    arrays = computed(runner, *images)
    runner.end()
    for image, (numbers,) in zip(images, arrays, strict=True):
        assert numbers.shape == (*image.shape[:2], 1)
        assert np.abs(numbers[..., 0] - (image / 255.0).mean(axis=2) * 4 - 1).max() < 1e-5


def test_grades_and_classes_have_their_meaning(tmp_path: Path) -> None:
    runner = OnnxRunner(setup(grade_model(tmp_path), output={"meaning": "grades"}))
    ((grades, known),) = computed(runner, IMAGE)
    runner.end()
    assert known.all() and np.abs(grades - IMAGE.mean(axis=2)).max() <= 0.51
    names = ["a", "b", "c", "d", "e"]
    path = class_model(tmp_path, names)
    runner = OnnxRunner(setup(path, output={"meaning": "classes", "channels": 5}))
    ((numbers, confidence, known),) = computed(runner, IMAGE)
    runner.end()
    kernel = 4 * (np.arange(15).reshape(5, 3) % 5 - 2)
    raw = IMAGE / 255.0 @ kernel.T
    powers = np.exp(raw - raw.max(axis=2, keepdims=True))
    probabilities = powers / powers.sum(axis=2, keepdims=True)
    assert known.all()
    certain = (
        np.sort(probabilities, axis=2)[..., -1] - np.sort(probabilities, axis=2)[..., -2] > 1e-5
    )
    assert (numbers == probabilities.argmax(axis=2))[certain].all()
    assert np.abs(confidence - 255 * probabilities.max(axis=2)).max() <= 0.51


def test_any_number_of_threads_computes_the_same_bytes(tmp_path: Path) -> None:
    path = class_model(tmp_path, list("abcde"))
    found = set()
    for threads in (1, 2, 0):
        output = {"meaning": "classes", "channels": 5}
        runner = OnnxRunner(setup(path, output=output, threads=threads))
        (arrays,) = computed(runner, IMAGE)
        runner.end()
        found.add(b"".join(array.tobytes() for array in arrays))
    assert len(found) == 1


def test_processes_are_kept_for_a_model_and_another_model_ends_them(tmp_path: Path) -> None:
    first = setup(depth_model(tmp_path / "a"), threads=3)
    runners = OnnxRunners.of(first)
    of_runners(runners, IMAGE, IMAGE)
    processes = [runner._process for runner in runners.runners]
    assert [runner.setup.threads for runner in runners.runners] == [1, 2]
    assert OnnxRunners.of(replace(first)) is runners
    of_runners(OnnxRunners.of(first), IMAGE)
    assert [runner._process for runner in runners.runners] == processes
    assert all(process is not None and process.poll() is None for process in processes)
    OnnxRunners.of(setup(depth_model(tmp_path / "b")))
    assert all(process is not None and process.poll() is not None for process in processes)
    end_kept()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_two_processes_give_the_arrays_of_one_in_its_order(tmp_path: Path, count: int) -> None:
    model = setup(depth_model(tmp_path), threads=2)
    images = [np.full((8, 9 + number, 3), 30 * number, np.uint8) for number in range(count)]
    one = OnnxRunner(replace(model, threads=1))
    expected = computed(one, *images)
    one.end()
    found = of_runners(OnnxRunners.of(model), *images)
    end_kept()
    assert len(found) == count
    for (mine,), (its,) in zip(found, expected, strict=True):
        assert np.array_equal(mine, its)


def test_a_process_that_was_killed_is_an_error_and_the_next_image_starts_another(
    tmp_path: Path,
) -> None:
    runner = OnnxRunner(setup(depth_model(tmp_path)))
    computed(runner, IMAGE)
    assert runner._process is not None
    runner._process.kill()
    runner._process.wait()
    computed(runner, IMAGE)  # it had ended between two images
    assert runner._process is not None
    real = OnnxRunner.send

    def killed(self: OnnxRunner, *arguments: Any) -> None:
        real(self, *arguments)
        assert self._process is not None
        self._process.kill()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(OnnxRunner, "send", killed)
        with pytest.raises(ModelError, match="ended its process"):
            for _ in range(20):  # an image this small may be computed before the signal comes
                computed(runner, IMAGE)
    assert len(computed(runner, IMAGE)) == 1
    runner.end()


def test_a_run_that_was_stopped_leaves_no_old_answer_for_the_next(tmp_path: Path) -> None:
    runner = OnnxRunner(setup(depth_model(tmp_path)))
    images = [np.full((8, 8, 3), value, np.uint8) for value in (0, 100, 200)]
    run = OnnxRunners([runner]).run((image, (8, 8)) for image in images)
    next(run)
    run.close()
    ((numbers,),) = computed(runner, np.full((8, 8, 3), 255, np.uint8))
    runner.end()
    assert np.allclose(numbers, 5)


def test_a_start_that_was_stopped_leaves_no_old_answer_either(tmp_path: Path) -> None:
    runner = OnnxRunner(setup(depth_model(tmp_path)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(OnnxRunner, "_answer", stopped)
        with pytest.raises(KeyboardInterrupt):
            computed(runner, IMAGE)
    ((numbers,),) = computed(runner, np.full((8, 8, 3), 255, np.uint8))
    runner.end()
    assert np.allclose(numbers, 5)


def stopped(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_process_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    path = depth_model(tmp_path)
    code = (
        "import os, numpy as np\n"
        "from tests.unit.suppliers.test_onnx_runner import *\n"
        f"runner = OnnxRunner(setup(Path({str(path)!r})))\n"
        "computed(runner, IMAGE)\n"
        "print(runner._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    number = int(done.stdout)
    limit = time.monotonic() + 60
    while Path(f"/proc/{number}").exists() and time.monotonic() < limit:
        time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_without_the_packages_the_command_that_installs_them_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx_runner, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install onnx onnxruntime"):
        need_runtime()
    assert importlib.util.find_spec("onnx")
