"""Lets several processes train one network together: each computes a share of every batch.

No gradient is a mean of means. The losses of a batch's images are exchanged, so that each process
divides by the counts of the whole batch; gradients are then added up over the processes.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from labelgrid.basics.streams import seed_of
from labelgrid.executors.together import LostProcessError, ProcessRank, place_from_environment
from labelgrid.pixel.target import Tensors

#: After this time in one exchange, another process is taken to hang.
TIMEOUT = timedelta(minutes=30)
#: Seconds between two looks for what the first process tells.
LOOK_EVERY = 0.02
#: Seconds that the first process waits at the end until all others have read what it told.
LEAVE_WITHIN = 60.0
#: The number of gradient values that are added up at once.
BUCKET = 2**24


class TrainingGroup:
    """The processes that train a network together: here a single process.

    Everything is then as it was. `SeveralProcesses` overrides what several do.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
        local_rank: the number of this process on its machine, which selects the GPU.

    Example:
        >>> group = TrainingGroup()
        >>> group.is_first, group.share(["a", "b", "c"])
        (True, ['a', 'b', 'c'])
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints, records and the log, and measures."""
        return self.rank == 0

    def share(self, ids: Sequence[str]) -> list[str]:
        """Return the images of a batch for this process: every `size`-th.

        If there are fewer images than processes, a process without any computes the first one for
        nothing.
        """
        return list(ids)

    def own_rows(self, count: int) -> Tensor:
        """Return the places, int64, of the images of `share` in a batch of `count` images."""
        return torch.arange(count)

    def seed(self, seed: int) -> int:
        """Return the seed of draws that need not be the same in all processes."""
        return seed

    def complete(self, local: Tensors, count: int) -> dict[str, Tensor]:
        """Return named values of all images of a batch, [count] each, from this process's, [b].

        Gradients flow to this process's values alone. A process may lack a name: its images have 0.
        """
        return dict(local)

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum over the processes of tensors of one shape, without a graph."""
        return values

    def from_first(self, values: Tensor) -> Tensor:
        """Return the first process's tensor, of the shape of `values`, without a graph."""
        return values

    def join(self, rows: Tensor) -> tuple[Tensor, slice]:
        """Join the columns of the processes' tensors [t, n], which differ in n.

        Returns:
            [t, sum of n], without a graph, and where this process's columns are.
        """
        return rows, slice(0, rows.shape[1])

    def add_gradients(self, parameters: Iterable[nn.Parameter], *, mean: bool = False) -> None:
        """Add up the gradients over the processes; `mean`: divide the sums by their number.

        A parameter keeps no gradient if it has none in any process.
        """

    def average(self, values: Iterable[Tensor]) -> None:
        """Replace tensors by their means over the processes."""

    def tell(self, value: Any = None) -> Any:
        """Return the JSON value of the first process; the rest wait for it, without a limit."""
        return value


#: This process alone.
ALONE = TrainingGroup()


@dataclass(frozen=True, kw_only=True)
class BatchLosses:
    """The losses of the images of a training step.

    Args:
        losses: the supervised losses by task, [b].
        weighted: the same, weighted by label, with their graph.
        present: bool [b, t], where an image has a task's label.
        terms: the terms' losses by `term.name`, [b], with their graph.
    """

    losses: Tensors
    weighted: Tensors
    present: Tensor
    terms: Tensors

    def complete(self, group: TrainingGroup, count: int) -> "BatchLosses":
        """Return the losses of all images of the batch, in whichever process.

        Args:
            group: the processes that compute shares of the batch.
            count: the number of its images.
        """
        local = {}
        for column, name in enumerate(self.losses):
            local[f"loss/{name}"] = self.losses[name].detach()
            local[f"weighted/{name}"] = self.weighted[name]
            local[f"present/{name}"] = self.present[:, column].float()
        for name, loss in self.terms.items():
            local[f"term/{name}"] = loss
        whole = group.complete(local, count)
        terms = {}
        for name, loss in whole.items():
            if name.startswith("term/"):
                terms[name.removeprefix("term/")] = loss
        present = [whole[f"present/{name}"].bool() for name in self.losses]
        return BatchLosses(
            losses={name: whole[f"loss/{name}"].detach() for name in self.losses},
            weighted={name: whole[f"weighted/{name}"] for name in self.losses},
            present=torch.stack(present, 1),
            terms=terms,
        )


class SeveralProcesses(TrainingGroup):
    """The processes that train a network together, seen from a single process.

    Args:
        process: the number of this process.
        store: what all of them can read and write.
    """

    def __init__(self, process: ProcessRank, store: dist.Store) -> None:
        self.rank = process.rank
        self.size = process.size
        self.local_rank = process.local
        self.store = dist.PrefixStore("labelgrid", store)
        self.told = 0

    def share(self, ids: Sequence[str]) -> list[str]:
        """As `TrainingGroup.share`."""
        return list(ids[self.rank :: self.size]) or list(ids[:1])

    def own_rows(self, count: int) -> Tensor:
        """As `TrainingGroup.own_rows`."""
        rows = torch.arange(self.rank, count, self.size)
        return rows if len(rows) else torch.zeros(1, dtype=torch.long)

    def seed(self, seed: int) -> int:
        """As `TrainingGroup.seed`: the first process draws what a process alone would."""
        return seed if self.is_first else seed_of(seed, "process", self.rank)

    def complete(self, local: Tensors, count: int) -> dict[str, Tensor]:
        """As `TrainingGroup.complete`."""
        names, has_graph = self._agree_on_names(local)
        if not names:
            return {}
        device = next(iter(local.values())).device if local else torch.device("cpu")
        mine = len(range(self.rank, count, self.size))
        sent = torch.zeros(-(-count // self.size), len(names), dtype=torch.float64, device=device)
        for column, name in enumerate(names):
            if name in local:
                sent[:mine, column] = local[name][:mine].detach()
        # Image number i is row i // size of process i % size.
        received = self._gather(sent).transpose(0, 1).reshape(-1, len(names))[:count]
        whole = {}
        for column, name in enumerate(names):
            dtype = local[name].dtype if name in local else torch.float32
            values = received[:, column].to(dtype, copy=True)
            if name in local:
                values[self.rank :: self.size] = local[name][:mine]
            if has_graph and values.is_floating_point() and not values.requires_grad:
                values.requires_grad_()  # a backward pass then does nothing, instead of failing
            whole[name] = values
        return whole

    def _agree_on_names(self, local: Tensors) -> tuple[list[str], bool]:
        """Return the names in any process, in a common order, and whether a value has a graph."""
        text = json.dumps(list(local)).encode()
        has_graph = any(values.requires_grad for values in local.values())
        header = torch.tensor([seed_of(0, text.hex()), len(text), int(has_graph)])
        headers = self._gather(header)
        names = list(local)
        if bool((headers[:, 0] != headers[0, 0]).any()):
            padded = torch.zeros(int(headers[:, 1].max()), dtype=torch.uint8)
            padded[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
            texts = self._gather(padded)
            names = []
            for row, length in zip(texts, headers[:, 1].tolist(), strict=True):
                names += json.loads(bytes(row[:length].tolist()))
        return list(dict.fromkeys(names)), bool(headers[:, 2].any())

    def add_up(self, values: Tensor) -> Tensor:
        """As `TrainingGroup.add_up`."""
        total = values.detach().clone()
        self._exchange(dist.all_reduce, total)
        return total

    def from_first(self, values: Tensor) -> Tensor:
        """As `TrainingGroup.from_first`."""
        copy = values.detach().contiguous().clone()
        self._exchange(dist.broadcast, copy, 0)
        return copy

    def join(self, rows: Tensor) -> tuple[Tensor, slice]:
        """As `TrainingGroup.join`."""
        widths = self._gather(torch.tensor(rows.shape[1])).tolist()
        padded = rows.new_zeros(len(rows), max(widths))
        padded[:, : rows.shape[1]] = rows.detach()
        parts = []
        for part, width in zip(self._gather(padded), widths, strict=True):
            parts.append(part[:, :width])
        start = sum(widths[: self.rank])
        return torch.cat(parts, 1), slice(start, start + rows.shape[1])

    def add_gradients(self, parameters: Iterable[nn.Parameter], *, mean: bool = False) -> None:
        """As `TrainingGroup.add_gradients`."""
        factor = 1 / self.size if mean else 1.0
        for bucket in _buckets(parameters):
            self._add_bucket(bucket, factor)

    def _add_bucket(self, parameters: Sequence[nn.Parameter], factor: float) -> None:
        """Add up the gradients of parameters of the same type in a single exchange.

        Behind the gradients stands for each of them how many processes have it.
        """
        parts = []
        for parameter in parameters:
            gradient = parameter.grad
            part = torch.zeros_like(parameter) if gradient is None else gradient
            parts.append(part.detach().flatten())
        counts = [float(parameter.grad is not None) for parameter in parameters]
        flat = torch.cat([*parts, parts[0].new_tensor(counts)])
        self._exchange(dist.all_reduce, flat)
        sizes = [parameter.numel() for parameter in parameters]
        *sums, counted = torch.split(flat, [*sizes, len(counts)])
        for parameter, total, count in zip(parameters, sums, counted.tolist(), strict=True):
            if count:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                parameter.grad.copy_((factor * total).view(parameter.shape))

    def average(self, values: Iterable[Tensor]) -> None:
        """As `TrainingGroup.average`."""
        for value in values:
            value.copy_(self.add_up(value) / self.size)

    def tell(self, value: Any = None) -> Any:
        """As `TrainingGroup.tell`."""
        key = f"told/{self.told}"
        self.told += 1
        with _lost_if_it_fails():
            if self.is_first:
                self.store.set(key, json.dumps(value))
                return value
            while not self.store.check([key]):
                time.sleep(LOOK_EVERY)
            return json.loads(self.store.get(key))

    def leave(self) -> None:
        """End the exchanges, once every process has had the last one.

        A process whose connections are closed while another still reads from them would make it
        fail. The first process may keep the store: it leaves last.
        """
        self.store.add("done", 1)
        if self.is_first:
            self._wait_until("done", self.size)
        self.tell()
        self.store.add("left", 1)
        if self.is_first:
            self._wait_until("left", self.size)
        dist.destroy_process_group()

    def _wait_until(self, key: str, count: int) -> None:
        end = time.monotonic() + LEAVE_WITHIN
        while self.store.add(key, 0) < count and time.monotonic() < end:
            time.sleep(LOOK_EVERY)

    def _gather(self, values: Tensor) -> Tensor:
        parts = [torch.empty_like(values) for _ in range(self.size)]
        self._exchange(dist.all_gather, parts, values)
        return torch.stack(parts)

    def _exchange(self, operation: Callable[..., object], *arguments: Any) -> None:
        with _lost_if_it_fails():
            operation(*arguments)


@contextmanager
def _lost_if_it_fails() -> Iterator[None]:
    """Turn torch's error, if another process cannot be reached, into the error for the user."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            f"Another process of the training has ended, or cannot be reached: "
            f"{str(error).splitlines()[0]}",
            next_step="Run the same command again: it resumes the training.",
        ) from error


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Divide parameters, in order, into parts of a single type and limited size."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        is_other = bucket and parameter.dtype != bucket[0].dtype
        if bucket and (is_other or size + parameter.numel() > BUCKET):
            yield bucket
            bucket = []
            size = 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket


@contextmanager
def join_group() -> Iterator[TrainingGroup]:
    """Take part in the training of several processes that the environment says; else be alone.

    The variables are set by torchrun or by `run_together`.

    Raises:
        LostProcessError: the other processes cannot be reached.
    """
    process = place_from_environment()
    if process is None:
        yield ALONE
        return
    from torch.distributed.rendezvous import rendezvous

    with _lost_if_it_fails():
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if gpus:
            torch.cuda.set_device(process.local % gpus)
        meeting = rendezvous(
            process.address, rank=process.rank, world_size=process.size, timeout=TIMEOUT
        )
        store, _, _ = next(meeting)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=dist.PrefixStore("exchanges", store),
            rank=process.rank,
            world_size=process.size,
            timeout=TIMEOUT,
        )
        group = SeveralProcesses(process, store)
    yield group
    group.leave()  # after an error the process ends, and with it its connections
