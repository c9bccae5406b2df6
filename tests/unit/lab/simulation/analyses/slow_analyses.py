"""Slow independent metrics of networks on hidden labels, in float64, and access to an analysis' numbers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from labelgrid.data.loader import eval_batches
from labelgrid.lab.simulation.analyse import AnalysisResult
from labelgrid.nets.network import Network
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit
from labelgrid.project.sources import dataset_of
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import restore

#: The headline metric of each task.
HEADLINES = {"semseg": "mIoU", "depth": "RMSE", "normals": "mErr"}


def values(result: AnalysisResult, arm: str, metric: str, **keys: Any) -> list[float]:
    """The values of an arm's findings with these keys, by seed."""
    found = [f for f in result.findings if (f.run.name, f.result.name) == (arm, metric)]
    return [f.result.value for f in found if keys.items() <= dict(f.keys).items()]


def value(result: AnalysisResult, arm: str, metric: str, **keys: Any) -> float:
    """The value of seed 0."""
    return values(result, arm, metric, **keys)[0]


def outputs(
    study: Any, arm: str, number: int, image: str, known: Sequence[str]
) -> dict[str, np.ndarray]:
    """What the network of a round says of an image, [channels, 32, 64] in float64, given labels of some tasks."""
    folder = study.folder / "runs" / f"{arm}-seed0"
    context, network = restored(folder, number)
    with ProjectFolder.open(folder) as project:
        data, tasks = dataset_of(project.settings.oracle), context.definitions
        labels = {task: data.label(image, tasks[task]) for task in known}
        (batch,) = eval_batches(
            data, tasks, [image], context.recipe.data, batch=1, known_labels=lambda _: labels
        )
        targets = {
            name: replace(target, value=wide(target.value))
            for name, target in batch.targets.items()
        }
        with torch.inference_mode():
            final = network(wide(batch.images), targets if known else None).final
            whole = {
                name: interpolate(raw, size=(32, 64), mode="bilinear")
                for name, raw in final.items()
            }
            return {
                name: context.tasks[name].activate(raw)[0].numpy() for name, raw in whole.items()
            }


@lru_cache(maxsize=4)
def restored(folder: Path, number: int) -> tuple[RoundContext, Network]:
    """The network of a run's round, in float64."""
    with ProjectFolder.open(folder) as project:
        context, model = restore(project, read_fit(project.round_folder(number)))
    model.network.double().eval()
    return context, model.network


def wide(values: torch.Tensor) -> torch.Tensor:
    """Floats as float64; classes as they are."""
    return values.double() if values.is_floating_point() else values


def truth(study: Any, image: str, task: str) -> tuple[np.ndarray, np.ndarray]:
    """A hidden label's values [32, 64, c] and valid pixels [32, 64], from its file."""
    with ProjectFolder.open(study.folder / "runs" / "cells-seed0") as project:
        label = project.tasks()[task].read(study.made.label(image, task))
    return label.value, label.valid


def of_set(task: str, pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """The headline metric of a task over the pixels of all images at once: mIoU, RMSE or mean angle."""
    predicted = np.concatenate([p.transpose(1, 2, 0)[valid] for p, _, valid in pairs])
    true = np.concatenate([value[valid] for _, value, valid in pairs]).astype(np.float64)
    if task == "depth":
        return float(np.sqrt(np.mean((np.maximum(predicted, 1e-9) - true) ** 2)))
    if task == "normals":
        unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (predicted, true)]
        return float(np.degrees(np.arccos(np.clip((unit[0] * unit[1]).sum(-1), -1, 1))).mean())
    classes, real = predicted.argmax(-1), true[:, 0].astype(int)
    pairs_of = [(classes == c, real == c) for c in sorted({*classes, *real})]
    return 100 * float(
        np.mean([(one & other).sum() / (one | other).sum() for one, other in pairs_of])
    )
