"""Compares the gradients of several processes, which divide each batch, with those of one process."""

import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError, TrainingError
from labelgrid.basics.processes import TOGETHER
from labelgrid.basics.progress import Silent
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.network import Network
from labelgrid.relations.bound import declared_relations
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import Task, build_all, definitions
from labelgrid.testing.trainings import TASKS, small, with_gaps
from labelgrid.train.division import refuse_undivided
from labelgrid.train.group import ALONE, TrainingGroup, join_group
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.seeding import seed_torch
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Trainer
from tests.contracts.own import modules
from tests.e2e.killing import preloaded_context
from tests.support import Made, task_rows
from tests.toys import ENCODER, toy_plan

#: The arguments of a plug-in's `build`, by folder.
ARGUMENTS = {
    "networks": ["tasks", "encoder", "options"],
    "terms": ["tasks", "network", "options"],
    "balance": ["weights", "reduce", "options"],
}
#: Those that must be equal.
NETWORKS = ("shared_heads", "pad_net", "mti_net")
TERMS = ("", "crop", "mtpsl", "mean_teacher", "relation", "pseudo_labels")
#: The balancers, with the options of their trainings: `dwa` weighs from the third epoch on.
BALANCERS: dict[str, dict[str, Any]] = {"fixed": {}, "uncertainty": {}, "dwa": {"epochs": 3}}
#: A gradient is compared with the largest of its parameter, or with this share of the network's
#: largest: biases before a norm have gradients of rounding alone.
SHARE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Case:
    """A training: its network, its term ("": none) and its balancer, by name.

    Args:
        options: of the term or, without one, of the balancer.
        train: other options of the training.
        reduction: of the supervised loss.
    """

    network: str = "shared_heads"
    term: str = ""
    balancer: str = "fixed"
    options: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    reduction: str = "image_mean"

    @property
    def label(self) -> str:
        """The case in words."""
        words = [self.network, self.term or "no term", self.balancer]
        if self.reduction != "image_mean":
            words.append(self.reduction)
        words += [f"{name} = {value}" for name, value in (self.options | self.train).items()]
        return ", ".join(words)


def found(folder: str) -> dict[str, ModuleType]:
    """The plug-ins of the package by name, and those of tests/plugins, which may have the same names."""
    shipped = {name: plugins.module(folder, name) for name in plugins.names(folder)}
    own = modules(folder, ARGUMENTS[folder])
    return shipped | {f"own {name}": m for name, m in own.items() if shipped.get(name) is not m}


def needed() -> list[Case]:
    """The cases that must be equal."""
    cases = []
    for network, term, balancer in itertools.product(NETWORKS, TERMS, BALANCERS):
        train = BALANCERS[balancer]
        cases.append(Case(network=network, term=term, balancer=balancer, train=train))
    return cases


def discovered() -> list[Case]:
    """A case for each network, term and balancer, and for switches that change how they divide."""
    cases = [Case(network=name) for name in found("networks")]
    cases += [Case(term=name) for name in found("terms")]
    cases += [Case(balancer=name, network="pad_net") for name in found("balance")]
    switched = {
        "mgda": [{"at": "parameters"}, {"normalise": "loss+"}],
        "torchjd": [{"at": "parameters"}],
        "gradnorm": [{"at": "features"}],
        "uncertainty": [{"form": "kendall"}],
    }
    for name, variants in switched.items():
        cases += [Case(balancer=name, options=options) for options in variants]
    for name, options in (
        ("mtpsl", {"pairs": "learnt"}),
        ("mtpsl", {"norm": "pass"}),
        ("mean_teacher", {"features": 0.5}),
        ("jtr", {"one_pass": True}),
    ):
        cases.append(Case(term=name, options=options))
    for reduction in ("image_sum", "task_sum"):
        cases.append(Case(balancer="uncertainty", reduction=reduction))
    cases += [
        Case(network="pad_net", train={"known": 0.5}),
        Case(network="pad_net", train={"mix": "class"}),
        Case(network="pad_net", train={"batch": 1}),  # a process has nothing to do
        Case(network="pad_net", balancer="mgda", train={"batch": 1}),
        Case(network="pad_net", train={"clip": 0.1}),
    ]
    return cases


def without_batch_norm(module: nn.Module) -> None:
    """Put a norm of each image in the place of every batch norm."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(1, child.num_features))
        else:
            without_batch_norm(child)


def compute_in_double(module: nn.Module) -> None:
    """Let layers compute in float64: what is left of a difference is then none of rounding."""
    module.double()
    for child in module.modules():
        if next(child.parameters(recurse=False), None) is not None:
            child.register_forward_pre_hook(_as_double)


def _as_double(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    is_single = [isinstance(each, Tensor) and each.dtype == torch.float32 for each in inputs]
    return tuple(
        each.double() if single else each for each, single in zip(inputs, is_single, strict=True)
    )


def network_of(name: str, tasks: Mapping[str, Task], seed: int = 0) -> Network:
    """A small network without batch norm and dropout."""
    module = found("networks")[name]
    wanted = {"width": 16, "dropout": 0.0, "pyramid_dropout": 0.0}
    known = {each.name for each in fields(module.Options)}
    options = module.Options(**{key: value for key, value in wanted.items() if key in known})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = partial(Encoder, BackboneOptions(name=ENCODER, pretrained=False, fused=16))
        network: Network = module.build(tasks, encoder, options)
        without_batch_norm(network)
    compute_in_double(network)
    return network


def trainer_of(case: Case, made: Made, group: TrainingGroup) -> Trainer:
    """The training of a case in one of the processes of a group."""
    options = TrainOptions(
        **{"epochs": 1, "batch": 3, "learning_rate": 1e-9, "known": 0.0, "device": "cpu"}
        | dict(case.train)
    )
    network = network_of(case.network, build_all(definitions(list(made.rows))))
    objective = ObjectiveOptions(reduction=case.reduction)  # type: ignore[arg-type]
    plan = toy_plan(made, options, objective=objective, network=network)
    relations = {"depth_normals": RelationChoice(trust=1.0)}
    plan = replace(
        plan,
        previous=lambda: TrainedModel(network=network_of(case.network, plan.tasks, 1).eval()),
        relations=declared_relations(relations, plan.definitions),
    )
    module = found("balance")[case.balancer]
    chosen = module.Options(**({} if case.term else case.options))
    with seed_torch(0, "init", "balance"):
        reduce = partial(supervised_loss, reduction=case.reduction)
        balancer = module.build(fixed_weights(plan.tasks, plan.objective), reduce, chosen)
    plan = replace(plan, balancer=balancer.double())
    if case.term:
        module = found("terms")[case.term]
        with seed_torch(0, "init", "term", "it"):
            chosen = small(replace(module.Options(), **case.options))
            if hasattr(chosen, "mapping"):
                chosen = replace(chosen, mapping="light")
            term = module.build(plan.tasks, plan.network, chosen)
        compute_in_double(term)
        plan = replace(plan, terms={"it": term})
    refuse_undivided(plan, group)
    return Trainer(plan, group)


@dataclass
class Trained:
    """The gradients before each step of each optimiser, None where there is none; and the log."""

    gradients: list[dict[str, Tensor | None]]
    log: list[dict[str, Any]]


def trained(case: Case, made: Made, folder: Path, group: TrainingGroup) -> Trained:
    """Train a case, in steps that move nothing by more than rounding."""
    training = trainer_of(case, made, group)
    plan = training.plan
    named = {"": plan.network, **plan.terms, "balancer": plan.balancer}
    names = {}
    for prefix, module in named.items():
        for name, parameter in module.named_parameters():
            names[id(parameter)] = f"{prefix}.{name}"
    kept: list[dict[str, Tensor | None]] = []

    def record(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        gradients = {}
        for part in optimiser.param_groups:
            for parameter in part["params"]:
                gradient = parameter.grad
                gradients[names[id(parameter)]] = None if gradient is None else gradient.clone()
        kept.append(gradients)

    for optimiser in (training.optimiser, *training.terms.own.optimisers.values()):
        optimiser.optimizer.register_step_pre_hook(record)
    training.prepare(folder, Silent(), resumed=False)
    log = [training.run_epoch(Silent()) for _ in range(plan.epochs)]
    return Trained(kept, log)


def difference(ours: Trained, expected: Trained) -> float:
    """The largest difference of a gradient, as a share of the largest gradient of its parameter.

    Infinite if a parameter has a gradient in one of both alone.
    """
    largest = 0.0
    assert len(ours.gradients) == len(expected.gradients)
    for mine, theirs in zip(ours.gradients, expected.gradients, strict=True):
        sizes = [float(each.abs().max()) for each in theirs.values() if each is not None]
        least = SHARE * max(sizes, default=0.0)
        for name, wanted in theirs.items():
            got = mine[name]
            if got is None or wanted is None:
                if got is not wanted:
                    return float("inf")
                continue
            size = max(float(wanted.abs().max()), least)
            if size:
                largest = max(largest, float((got - wanted).abs().max()) / size)
    return largest


def log_difference(ours: Trained, expected: Trained) -> float:
    """The largest relative difference of a mean loss or factor in the log."""
    largest = 0.0
    for mine, theirs in zip(ours.log, expected.log, strict=True):
        for part in ("loss", "terms", "balance", "start"):
            assert mine.get(part, {}).keys() == theirs.get(part, {}).keys()
            for name, wanted in theirs.get(part, {}).items():
                largest = max(largest, abs(mine[part][name] - wanted) / max(abs(wanted), 1e-6))
    return largest


def outcomes(
    cases: Sequence[Case], made: Made, folder: Path, group: TrainingGroup
) -> Iterator[Any]:
    """Train each case in the group; every process compares its share of them with one process."""
    for number, case in enumerate(cases):
        row: dict[str, Any] = {"case": case.label}
        try:
            together = trained(case, made, folder / str(number), group)
        except TrainingError as error:
            row["refused"] = error.what
            if group.is_first:
                yield row
            continue
        except LabelgridError as error:  # the package of an extra is absent
            row["absent"] = error.what
            if group.is_first:
                yield row
            continue
        if number % group.size == group.rank:
            alone = trained(case, made, folder / f"{number}-alone", ALONE)
            row["gradients"] = difference(together, alone)
            row["log"] = log_difference(together, alone)
            yield row


def run(cases: Sequence[Case], folder: Path, processes: int = 2) -> dict[str, dict[str, Any]]:
    """Start the processes, and return what they found, by the label of a case."""
    made = with_gaps(folder / "data")
    (made.root / "camera.toml").write_text("field_of_view = 66.0\n")
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]))
    (folder / "names.json").write_text(json.dumps(made.names))
    context = preloaded_context()
    started = []
    for rank in range(processes):
        process = context.Process(target=take_part, args=(folder, rank, processes))
        process.start()
        started.append(process)
    try:
        codes: list[int | None] = [None] * processes
        while None in codes and not any(codes):
            time.sleep(0.05)
            codes = [process.exitcode for process in started]
    finally:
        for process in started:
            process.kill()
            process.join()
    assert not any(codes), codes
    rows = {}
    for rank in range(processes):
        for row in json.loads((folder / f"rows-{rank}.json").read_text()):
            rows[row["case"]] = row
    return rows


def take_part(folder: Path, rank: int, processes: int) -> None:
    """Take part in the trainings of a folder's cases, as one process of them."""
    os.environ |= {
        TOGETHER: str(folder),
        "RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    torch.set_num_threads(1)
    names = tuple(json.loads((folder / "names.json").read_text()))
    made = Made(folder / "data", names, task_rows(TASKS))
    cases = [Case(**fields) for fields in json.loads((folder / "cases.json").read_text())]
    with join_group() as group:
        rows = list(outcomes(cases, made, folder, group))
        (folder / f"rows-{group.rank}.json").write_text(json.dumps(rows))
