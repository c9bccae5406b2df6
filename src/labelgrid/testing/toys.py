"""Makes tiny networks, and plans of trainings over a made dataset on disk."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from labelgrid.basics import plugins
from labelgrid.data.data_options import DataOptions
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.network import Network
from labelgrid.tasks.task import Task, build_all, definitions
from labelgrid.testing.scenes import Made
from labelgrid.train.balance.fixed import Fixed
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.plan import Plan
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions

#: The smallest encoder of timm.
ENCODER = "test_efficientnet"
DATA = DataOptions(size=(32, 64), flip=0.5, zoom=(1.0, 1.2))


def source_of(made: Made) -> Any:
    return plugins.resolve("layouts", "folder")(made.root)


def toy_network(
    tasks: Mapping[str, Task],
    name: str = "pad_net",
    seed: int = 0,
    backbone: str = ENCODER,
    **options: Any,
) -> Network:
    module = plugins.module("networks", name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        values = {"pretrained": False, "fused": 16, **options}
        encoder = partial(Encoder, BackboneOptions(name=backbone, **values))
        network: Network = module.build(tasks, encoder, module.Options(width=16))
    return network


def toy_plan(made: Made, options: TrainOptions, **changes: Any) -> Plan:
    """A plan over the made tasks; `changes` replace its fields."""
    task_defs = definitions(list(made.rows))
    tasks = build_all(task_defs)
    objective = changes.pop("objective", ObjectiveOptions())
    weights = fixed_weights(tasks, objective)
    net = changes.pop("net", "pad_net")
    backbone = changes.pop("backbone", ENCODER)
    if "network" not in changes:
        changes["network"] = toy_network(tasks, net, backbone=backbone)
    fields: dict[str, Any] = {
        "tasks": tasks,
        "definitions": task_defs,
        "source": source_of(made),
        "train": list(made.names),
        "val": [],
        "data": DATA,
        "options": options,
        "objective": objective,
        "balancer": Fixed(weights, partial(supervised_loss, reduction=objective.reduction)),
        "seed": 0,
    }
    return Plan(**{**fields, **changes})
