"""Runs an ONNX model on images in separate processes (`onnx_worker`).

A model that refuses, takes too long or ends its process is an error that says so. The processes are
kept for the next images of the same model.
"""

import atexit
import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from labelgrid.basics.array_types import Array, Bytes
from labelgrid.basics.errors import ModelError, UsageError
from labelgrid.basics.processes import cores
from labelgrid.basics.type_names import Size
from labelgrid.suppliers.model_file import UNCHANGED

PACKAGES = ("onnx", "onnxruntime")
#: Seconds in which a model is checked and loaded.
LOADING = 120.0
#: The most bytes of a line that the process answers.
LONGEST = 2**16
_WORKER = Path(__file__).with_name("onnx_worker.py")
#: By what an output means, the arrays that come of it: type, and whether they have channels.
ARRAYS: Mapping[str, Sequence[tuple[Any, bool]]] = {
    "numbers": [(np.float32, True)],
    "grades": [(np.uint8, False), (np.bool_, False)],
    "classes": [(np.uint16, False), (np.uint8, False), (np.bool_, False)],
}


@dataclass(frozen=True, kw_only=True)
class ModelSetup:
    """The model for a process to run, and its bounds.

    Args:
        path: the model's file.
        digest: the hash of the file.
        input: the input, as described.
        interpolation: the way in which images are resized.
        outputs: name, shape, channels, activation and meaning (a key of `ARRAYS`) of each.
        seconds: the most time for an image.
        memory: the most bytes of a process.
        threads: the number of threads; 0: one for each core.
    """

    path: str
    digest: str
    input: Mapping[str, Any]
    interpolation: str
    outputs: Sequence[Mapping[str, Any]]
    seconds: int
    memory: int
    threads: int


def need_runtime() -> None:
    """Refuse to go on without ONNX Runtime.

    Raises:
        UsageError: a package is not installed; it says how to install it.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"ONNX models need packages that are not installed: {missing[0]} is missing.",
            next_step=f"Install them: pip install {' '.join(PACKAGES)}.",
            unchanged=UNCHANGED,
        )


@dataclass
class OnnxRunner:
    """Runs a model in a process of its own, from the first image on."""

    setup: ModelSetup
    _process: "subprocess.Popen[bytes] | None" = field(init=False, default=None)
    _is_loaded: bool = field(init=False, default=False)
    _image: Size | None = field(init=False, default=None)

    @property
    def is_busy(self) -> bool:
        """Whether an image was sent whose arrays are not received yet."""
        return self._image is not None

    def send(self, pixels: Bytes, size: Size) -> None:
        """Give the process an image [h, w, 3]; the model takes the image at `size`.

        Raises:
            ModelError: the model is refused, or its process has ended.
        """
        self.start()
        self._load()
        height, width = pixels.shape[:2]
        self._image = height, width
        head = json.dumps({"shape": pixels.shape, "size": size}).encode() + b"\n"
        limit = time.monotonic() + self.setup.seconds
        self._write(head, limit)
        self._write(np.ascontiguousarray(pixels).data.cast("B"), limit)

    def receive(self) -> list[list[Array]]:
        """The arrays of each output for the image that was sent.

        Raises:
            ModelError: the model is refused, takes too long, or has ended its process.
        """
        image = self._image
        assert image is not None
        limit = time.monotonic() + self.setup.seconds
        self._answer(limit)
        computed = []
        for output in self.setup.outputs:
            arrays = []
            for dtype, has_channels in ARRAYS[output["meaning"]]:
                shape = (*image, output["channels"]) if has_channels else image
                content = self._read(np.dtype(dtype).itemsize * math.prod(shape), limit)
                arrays.append(np.frombuffer(content, dtype).reshape(shape))
            computed.append(arrays)
        self._image = None
        return computed

    def start(self) -> None:
        """Start the process, if it does not run, without waiting until the model is loaded."""
        if self._process is not None and self._process.poll() is None:
            return
        self.end()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-B", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            process_group=0,  # Ctrl-C is for the program alone
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        for pipe in self._pipes():
            os.set_blocking(pipe, False)
        with self._ended_by_errors():
            self._write(json.dumps(vars(self.setup)).encode() + b"\n", self._loading())

    def _load(self) -> None:
        if not self._is_loaded:
            with self._ended_by_errors():
                self._answer(self._loading())
            self._is_loaded = True

    @contextmanager
    def _ended_by_errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # Ctrl-C, too: no answer may be left for an image
            self.end()
            raise

    def _loading(self) -> float:
        return time.monotonic() + LOADING

    def _pipes(self) -> tuple[int, int]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        return process.stdin.fileno(), process.stdout.fileno()

    def _answer(self, limit: float) -> None:
        """Read a line; an error says why the process refuses."""
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self._read(1, limit)
            if len(line) > LONGEST:
                raise self._error("answers with nonsense")
        values = json.loads(line)
        if "refused" in values:
            raise self._error(f"is refused: {str(values['refused'])[:600]}")

    def _write(self, content: "bytes | memoryview", limit: float) -> None:
        handle, _ = self._pipes()
        left = memoryview(content)
        while left:
            self._wait(handle, select.POLLOUT, limit)
            try:
                left = left[os.write(handle, left) :]
            except BrokenPipeError:
                self._answer(limit)  # it may have said why
                raise self._error(self._death()) from None

    def _read(self, size: int, limit: float) -> bytearray:
        _, handle = self._pipes()
        content = bytearray(size)
        left = memoryview(content)
        while left:
            self._wait(handle, select.POLLIN, limit)
            count = os.readv(handle, [left])
            if not count:
                raise self._error(self._death())
            left = left[count:]
        return content

    def _wait(self, handle: int, event: int, limit: float) -> None:
        poll = select.poll()
        poll.register(handle, event)
        if not poll.poll(1000 * max(0.0, limit - time.monotonic())):
            raise self._error(
                f"takes more than {self.setup.seconds} s for an image, and was stopped",
                "If it only is slow, allow more with --set seconds=N.",
            )

    def _death(self) -> str:
        process = self._process
        assert process is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        memory = self.setup.memory / 2**30
        return (
            f"ended its process ({process.returncode}), as one does that needs more memory than "
            f"the {memory:g} GB it may take"
        )

    def _error(self, why: str, next_step: str = "") -> ModelError:
        self.end()
        return ModelError(
            f"The model {why}.",
            where=self.setup.path,
            next_step=next_step
            or "Correct its description, or take another file; --set memory=N allows more GB.",
            unchanged="Labels that were made are kept, and none was imported.",
        )

    def end(self) -> None:
        """End the process; another is started for a next image."""
        process = self._process
        self._process = None
        self._is_loaded = False
        self._image = None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()


@dataclass
class OnnxRunners:
    """Runs one model in as many processes as are given; each computes an image at a time.

    Two processes with a thread each compute two images sooner than one process with two threads.
    """

    runners: Sequence[OnnxRunner]

    @classmethod
    def of(cls, setup: ModelSetup) -> "OnnxRunners":
        """The kept runners of a model, or new runners in place of another model's."""
        threads = setup.threads or cores()
        shares = [threads // 2, threads - threads // 2] if threads > 1 else [1]
        wanted = [replace(setup, threads=share) for share in shares]
        kept = _KEPT.get(os.getpid())
        if kept is not None and [runner.setup for runner in kept.runners] == wanted:
            return kept
        if kept is not None:
            kept.end()
        _KEPT.clear()
        runners = _KEPT[os.getpid()] = cls([OnnxRunner(one) for one in wanted])
        return runners

    def run(self, images: Iterable[tuple[Bytes, Size]]) -> Iterator[list[list[Array]]]:
        """The arrays of images, in their order, computed while further images are read.

        The caller's work on arrays is done while other images are computed, too. All processes end
        with the first that is refused.
        """
        try:
            for runner in self.runners:
                if runner.is_busy:  # with an image of a run that was stopped
                    runner.end()
                runner.start()
            yield from self._in_turn(images)
        except ModelError:
            self.end()
            raise

    def _in_turn(self, images: Iterable[tuple[Bytes, Size]]) -> Iterator[list[list[Array]]]:
        turns = cycle(self.runners)
        for (pixels, size), runner in zip(images, turns, strict=False):
            arrays = runner.receive() if runner.is_busy else None
            runner.send(pixels, size)
            if arrays is not None:
                yield arrays
        for runner in islice(turns, len(self.runners)):
            if runner.is_busy:
                yield runner.receive()

    def end(self) -> None:
        """End each process; later images start others."""
        for runner in self.runners:
            runner.end()


#: By the number of this process, the runners that are kept; a forked process has none.
_KEPT: dict[int, OnnxRunners] = {}


def end_kept() -> None:
    """End the processes of the runners that are kept."""
    for number, runners in _KEPT.items():
        if number == os.getpid():
            runners.end()


atexit.register(end_kept)
