"""Compares MTPSL's term with a loop as its released code runs it: one image, one pair of tasks and one map at a time.

The loop is written out below with the same layers and weights, the same scaled maps and the same
features; loss and gradients of both are compared before the timing. A step is the loss and its
backward pass to predictions and mapping. On a CPU the ratio is one of processor time, and ours is
to be as fast at least; on a GPU (`--device cuda`) one of wall time, and ours is to be three times
as fast.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from _measure import check_limit, interleaved, machine, show
from torch import Tensor, nn
from torch.nn import functional

from labelgrid.basics.streams import seed_of
from labelgrid.data.batch import Batch
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.network import Features, Network, Output
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task, build_all, definitions
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.terms.mtpsl import CrossTaskConsistency, Options, build

ROWS = (
    TaskRow("semseg", "semseg", 1.0, {"classes": [f"class {i}" for i in range(13)]}),
    *(TaskRow(kind, kind, 1.0) for kind in ("depth", "normals", "saliency", "edges")),
)


class Fixed(Network):
    """A network of which the term only reads the width of the features."""

    def __init__(self, tasks: Mapping[str, Task], width: int) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, width, 1, 32)
        self.tasks = tasks

    def forward(self, image: Tensor, known: object = None) -> Output:
        """The features alone."""
        features = self.encoder(image)
        return Output(
            initial=(), final={}, features=Features(features, (features,)), task_features={}
        )


class Loop:
    """The released way: for each image and pair two passes of one map each, whose batch norm sees this map alone."""

    def __init__(self, term: CrossTaskConsistency) -> None:
        self.mapping = term.mapping
        self.names = term.names
        self.options = term.options

    def one(self, name: str, maps: Tensor, condition: Tensor) -> Tensor:
        """One map [1, c, h, w] in the joint space."""
        x = self.layer(self.mapping.inputs[name].layer, maps, None)
        for part in (self.mapping.first, *self.mapping.rest):
            x = (
                self.layer(part, x, condition)
                if hasattr(part, "convolution")
                else functional.max_pool2d(x, 2)
            )
        return x

    def layer(self, layer: Any, x: Tensor, condition: Tensor | None) -> Tensor:
        """Convolution, batch norm, the condition by linear layers of its one-hot vector, ReLU."""
        x = functional.conv2d(
            x, layer.convolution.weight, None, layer.convolution.stride, layer.convolution.padding
        )
        x = functional.batch_norm(x, None, None, layer.weight, layer.bias, training=True)
        if condition is not None:
            scale, shift = (
                functional.linear(condition, part.T) for part in (layer.scale, layer.shift)
            )
            x = scale.view(1, -1, 1, 1) * x + shift.view(1, -1, 1, 1)
        return torch.relu(x)

    def loss(self, step: Any) -> Tensor:
        """The sum over images and pairs."""
        device = step.output.features.deepest.device
        count = len(self.names)
        total = torch.zeros((), device=device)
        present = torch.stack([step.batch.targets[name].present for name in self.names], 1).cpu()
        for n in range(len(present)):
            f = step.output.features.deepest[n : n + 1].detach()
            unlabelled = [s for s in range(count) if not present[n, s]]
            for s in unlabelled:
                for t in (t for t in range(count) if present[n, t]):
                    conditions = [
                        functional.one_hot(torch.tensor(i, device=device), count * count).to(f)
                        for i in (s * count + t, t * count + s)
                    ]
                    source = self.names[s]
                    target = self.names[t]
                    generator = step.draws.generator("classes", source, step.batch.ids[n])
                    prediction = prediction_maps(
                        step.tasks[source], step.output.final[source][n : n + 1], [generator]
                    )
                    label = label_maps(
                        step.tasks[target], step.batch.targets[target][n : n + 1]
                    ).to(prediction)
                    a = self.one(source, prediction, conditions[0])
                    b = self.one(target, label, conditions[1])
                    distances = [
                        1 - functional.cosine_similarity(x, y).mean()
                        for x, y in ((a, b), (a, f), (b, f))
                    ]
                    total = total + sum(distances) / len(unlabelled)
        return total


@dataclass(frozen=True)
class Sides:
    """Both sides over the same predictions, labels and weights."""

    term: CrossTaskConsistency
    step: Any

    def inputs(self) -> list[Tensor]:
        """What gradients are taken of."""
        return [*self.step.output.final.values(), *self.term.mapping.parameters()]

    def ours(self) -> list[Tensor]:
        """The loss by the term, and its gradients."""
        return self._with_gradients(
            torch.stack([loss.sum() for loss in self.term.loss(self.step).values()]).sum()
        )

    def loop(self) -> list[Tensor]:
        """The loss by the loop, and its gradients."""
        return self._with_gradients(Loop(self.term).loss(self.step))

    def _with_gradients(self, total: Tensor) -> list[Tensor]:
        inputs = self.inputs()
        gradients = torch.autograd.grad(total, inputs, allow_unused=True)
        if total.is_cuda:
            torch.cuda.synchronize()
        return [
            total,
            *(
                torch.zeros_like(x) if g is None else g
                for x, g in zip(inputs, gradients, strict=True)
            ),
        ]

    def check_equal(self) -> None:
        """Compare losses and gradients; in float64, as many layers of norms amplify rounding."""
        for mine, its in zip(self.ours(), self.loop(), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-6, atol=1e-9)


def sides_of(
    count: int,
    batch: int,
    size: tuple[int, int],
    options: Options,
    width: int,
    device: str,
    dtype: torch.dtype = torch.float32,
) -> Sides:
    """The first `count` tasks; each image has one label."""
    torch.manual_seed(0)
    tasks = build_all(definitions(ROWS[:count]))
    term = build(tasks, Fixed(tasks, width), options).to(device, dtype)
    targets = {}
    for i, (name, task) in enumerate(tasks.items()):
        values = torch.rand(batch, task.label_channels, *size, dtype=dtype)
        value = (values * task.channels).long() if task.largest else values
        valid = (torch.arange(batch) % count == i).view(-1, 1, 1, 1).expand(-1, 1, *size)
        targets[name] = Target(value.to(device), valid.to(device))
    final = {
        name: torch.randn(batch, task.channels, *size, dtype=dtype).to(device).requires_grad_()
        for name, task in tasks.items()
    }
    deepest = torch.rand(batch, width, *(side // 32 for side in size), dtype=dtype).to(device)
    made = Batch(
        ids=tuple(map(str, range(batch))),
        images=torch.zeros(batch, 3, *size),
        targets=targets,
        weights=torch.ones(batch, len(tasks)),
    )
    output = Output(
        initial=(), final=final, features=Features(deepest, (deepest,)), task_features={}
    )
    # Keyed by task and image: both sides draw the same classes.
    draws = SimpleNamespace(
        generator=lambda *names: torch.Generator().manual_seed(seed_of(0, *names))
    )
    step = SimpleNamespace(
        batch=made, output=output, views={}, tasks=tasks, draws=draws, progress=1.0
    )
    return Sides(term, step)


def main() -> int:
    """Print the ratios for 2, 3 and 5 tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--mapping", default="segnet", choices=("segnet", "light"))
    parser.add_argument("--width", type=int, default=512, help="channels of the features")
    parser.add_argument("--tasks", type=int, nargs="+", default=(2, 3, 5))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    print(
        f"{options.batch} images of {options.size[0]}x{options.size[1]}, one label each, mapping {options.mapping}"
    )
    holds = []
    on_cpu = options.device == "cpu"
    for count in options.tasks:
        made = (
            count,
            options.batch,
            tuple(options.size),
            Options(mapping=options.mapping),
            options.width,
        )
        sides_of(*made, options.device, torch.float64).check_equal()
        sides = sides_of(*made, options.device)
        times = interleaved(
            {"ours": sides.ours, "one pair and map at a time": sides.loop}, options.repeats
        )
        print(f"{count} tasks")
        show(times)
        loop = times["one pair and map at a time"]
        ours = times["ours"]
        ratio, kind = (loop.work_over(ours), "processor") if on_cpu else (loop.over(ours), "wall")
        claim = f"{count} tasks: the loop / ours, {kind} time"
        holds.append(check_limit(claim, ratio, 1.0 if on_cpu else 3.0, least=True))
    return 0 if all(holds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
