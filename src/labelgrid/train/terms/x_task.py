"""X-task: mapped to another task by a network trained before, prediction and label agree.

The mappings are trained on images with labels of both tasks, and then frozen. Each is a network of
its own for an ordered pair of tasks. Their cost and memory grow with the number of pairs.
"""

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from labelgrid.basics.errors import ModelError, TrainingError
from labelgrid.basics.files import open_regular, write_bytes
from labelgrid.basics.type_names import Json, Values
from labelgrid.data.batch import Batch
from labelgrid.data.dataset import nonempty_label
from labelgrid.nets.hashes import weights_hash
from labelgrid.nets.late_compiler import plain_step
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.cross_maps import (
    CrossMapTerm,
    labelled_sources,
    mapped_distances,
    sum_by_image,
)
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.inputs import label_maps
from labelgrid.train.objective import targets_present
from labelgrid.train.term import Preparation, Step
from labelgrid.train.term_options import AdamRate, CrossMapOptions

#: The file of the mappings and their training, in the term's folder.
FILE = "maps"
#: What has a state.
Stateful = torch.nn.Module | torch.optim.Optimizer
#: The least number of seconds between two saves: the state of large modules takes a while.
SAVE_EVERY = 30.0


@dataclass(frozen=True)
class Options(CrossMapOptions):
    """The mappings' training, whose length MTPSL does not give.

    The sources are the image's labelled tasks.

    Args:
        steps: the steps of the mappings' training, one batch each; 0: as many as the network's. A
            mapping learns from images with labels of both of its tasks.
        learning_rate: the learning rate of that training, with Adam.
    """

    steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    learning_rate: AdamRate = 1e-4


class CrossTask(CrossMapTerm):
    """Distances of predictions to labels of the same task, both mapped to other tasks.

    The mappings are trained before. They are in a file of the training's folder; checkpoints hold a
    digest of them. A restored model has none.

    Source: Zamir et al. 2020 (cross-task consistency), |f_{s->t}(prediction of s) - f_{s->t}(label
    of s)| with f that maps labels of s to labels of t, as MTPSL's Table 5 uses it: "perceptual loss
    with pre-trained cross-task mapping functions".

    Readings: f is MTPSL's SegNet; it learns from the target's own loss, and normalises with its
    running statistics when it is frozen. The distance is the `disagreement` of t, with its weight
    in the objective, over the image's labelled tasks s. A pair whose labels no image has together
    has no mapping that could be trained, and is left out.
    """

    plugin = "x_task"
    undivided = ""
    options: Options
    trained: Tensor
    stamp: Tensor

    def __init__(self, tasks: Tasks, options: Options) -> None:
        super().__init__(tasks, options, fixed=True)
        self.register_buffer("trained", torch.zeros_like(self.allowed))
        self.register_buffer("stamp", torch.zeros(8, dtype=torch.uint8))

    def prepare(self, data: Preparation) -> None:
        """Train the mappings; a run that is killed resumes.

        Raises:
            TrainingError: no training image has labels of two tasks, or a loss is not finite.
        """
        say_if_idle("x_task", data, several=True)
        if len(self.names) < 2:
            return
        if not self._any_pair(data):
            raise TrainingError(
                "The term 'x_task' learns from images with labels of two tasks, "
                "and no training image has them.",
                next_step="Use the term 'perceptual_map', or label more tasks of the same images.",
                unchanged="Nothing was trained.",
            )
        self.maps.fix(fixed=False)
        self._train(data)
        self.maps.fix(fixed=True)
        self.stamp.copy_(self._digest())
        for source, target in (self.allowed & ~self.trained).nonzero().tolist():
            pair = f"{self.names[source]} to {self.names[target]}"
            data.progress.say(
                f"The term 'x_task' leaves out {pair}: no image that it read has both labels."
            )

    def resume(self, data: Preparation) -> None:
        """Read the mappings that `prepare` has trained.

        Raises:
            ModelError: their file is missing or damaged, or holds others.
        """
        if len(self.names) < 2:
            return
        file = Unfinished(data.folder / FILE, {"maps": self.maps})
        fault = ""
        if file.resume() is None:
            fault = "missing"
        elif not torch.equal(self._digest(), self.stamp):
            fault = "not those of this training"
        if fault:
            raise ModelError(
                f"The mappings of 'x_task' are {fault}.",
                where=file.path,
                next_step="Put the file back, or remove the training's checkpoints "
                "and run `labelgrid fit` again.",
                unchanged="Nothing was trained.",
            )

    def _digest(self) -> Tensor:
        digest = bytearray.fromhex(weights_hash(self.maps.state_dict()))
        return torch.frombuffer(digest, dtype=torch.uint8).to(self.stamp.device)

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        """Return the state without the mappings, which `prepare` leaves in a file.

        The training does not change them.
        """
        state = super().state_dict(*arguments, **options)
        return {name: value for name, value in state.items() if not name.startswith("maps.")}

    def load_state_dict(self, state_dict: Values, strict: bool = True, assign: bool = False) -> Any:
        """Load the state as of any module; the mappings stay as they are."""
        maps = {f"maps.{name}": value for name, value in self.maps.state_dict().items()}
        return super().load_state_dict({**maps, **state_dict}, strict, assign)

    def _any_pair(self, data: Preparation) -> bool:
        """Whether some image has labels of a pair; labels are read until one has."""
        for image in data.images:
            labels = [nonempty_label(data.source, image, t) for t in data.definitions.values()]
            has_label = [label is not None for label in labels]
            present = torch.tensor(has_label, device=self.allowed.device)
            if (present[:, None] & present & self.allowed).any():
                return True
        return False

    def _train(self, data: Preparation) -> None:
        optimiser = torch.optim.Adam(self.maps.parameters(), self.options.learning_rate)
        parts: dict[str, Stateful] = {"term": self, "maps": self.maps, "optimiser": optimiser}
        file = Unfinished(data.folder / FILE, parts)
        done, epoch, read = file.resume() or (0, 0, 0)
        steps = self.options.steps or data.steps
        data.progress.start("Training cross-task mappings", steps - done, "steps")
        for number, position, batch in islice(_batches_from(data, epoch, read), steps - done):
            self._step(batch, optimiser)
            done += 1
            if done == steps:
                # A finished training needs no moments, which are twice as large as the mappings.
                optimiser.state.clear()
            file.save((done, number, position), now=done == steps)
            data.progress.advance()

    def _step(self, batch: Batch, optimiser: torch.optim.Optimizer) -> None:
        present = targets_present(batch.targets, self.names)
        optimiser.zero_grad(set_to_none=True)
        for source, target in self.allowed.nonzero().tolist():
            rows = (present[:, source] & present[:, target]).nonzero()[:, 0]
            if not len(rows):
                continue
            source_name = self.names[source]
            target_name = self.names[target]
            maps = label_maps(self.tasks[source_name], batch.targets[source_name][rows])
            raw = self.maps.networks[self.maps.key(source, target)](maps)
            loss = self.tasks[target_name].loss(raw, batch.targets[target_name][rows]).mean()
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"The loss of x_task's mapping from '{source_name}' to '{target_name}' "
                    f"is {loss.item()}.",
                    where=f"images {', '.join(batch.ids_at(rows))}",
                    next_step="Look at these labels, or lower terms.x_task.learning_rate.",
                    unchanged="Nothing else was trained.",
                )
            torch.autograd.backward(loss)  # before the next is computed, to save memory
            self.trained[source, target] = True
        with plain_step():
            optimiser.step()

    def loss(self, step: Step) -> Tensors:
        """Compute the distance [b]; 0 for images without a label."""
        pairs = labelled_sources(targets_present(step.batch.targets, self.names), self.trained)
        distances = mapped_distances(self.maps, step, pairs)
        apart = sum_by_image(step, pairs, distances, divide=self.options.divide)
        return {"distance": self.options.weight * apart}


def _batches_from(data: Preparation, epoch: int, read: int) -> Iterator[tuple[int, int, Batch]]:
    """Yield batches without end, from after the first `read` of an epoch.

    Beside each batch stand its epoch, and its number in the epoch from 1.
    """
    for number in count(epoch):
        batches = enumerate(data.batches(number), 1)
        skipped = read if number == epoch else 0
        for position, batch in islice(batches, skipped, None):
            yield number, position, batch


def build(tasks: Tasks, network: Network, options: Options) -> CrossTask:
    """Build the term."""
    return CrossTask(tasks, options)


@dataclass
class Unfinished:
    """The file of a training in progress: the position and the states of all parts.

    The file holds tensors and plain values only.

    Args:
        path: the path of the file.
        parts: the modules and optimisers by name.

    Example:
        >>> import tempfile
        >>> folder, layer = Path(tempfile.mkdtemp()), torch.nn.Linear(1, 1)
        >>> Unfinished(folder / "state", {"layer": layer}).save((3, 1), now=True)
        >>> Unfinished(folder / "state", {"layer": layer}).resume()
        (3, 1)
    """

    path: Path
    parts: Mapping[str, Stateful]
    saved: float = field(default_factory=time.monotonic)

    def save(self, position: Sequence[int], *, now: bool = False) -> None:
        """Write the state atomically and durably, if the last save is long ago or `now`.

        Raises:
            ProjectError: the file cannot be written.
        """
        if not now and time.monotonic() - self.saved < SAVE_EVERY:
            return
        state: Json = {"position": list(position)}
        for name, part in self.parts.items():
            state[name] = part.state_dict()
        memory = io.BytesIO()  # torch would wrap an OSError of the disk in a RuntimeError
        torch.save(state, memory)
        write_bytes(self.path, memory.getbuffer(), durable=True)
        self.saved = time.monotonic()

    def resume(self) -> tuple[int, ...] | None:
        """Load the state without unpickling objects.

        Returns:
            The position; None if there is no file.

        Raises:
            ModelError: the file is damaged, or holds more than tensors and plain values.
        """
        if not self.path.exists():
            return None
        try:
            with open_regular(self.path) as file:
                state: Json = torch.load(file, map_location="cpu", weights_only=True)
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
            return tuple(map(int, state["position"]))
        except Exception as error:  # torch raises many types for damaged files
            raise ModelError(
                f"The state of an unfinished preparation cannot be read ({type(error).__name__}).",
                where=self.path,
                next_step="Remove the file and run `labelgrid fit` again: "
                "the preparation then starts again.",
            ) from error
