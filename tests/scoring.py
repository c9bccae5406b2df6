"""What tests of statistics share: a pool of two sizes, its predictions image by image, and entropies in float64."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import labels_of
from labelgrid.data.loader import eval_batches
from labelgrid.nets.network import Network
from labelgrid.score.pool import ScoringJob, pool_batches
from labelgrid.score.statistic import Statistic
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.trained_model import TrainedModel
from tests.support import Made, make_dataset
from tests.toys import source_of, toy_network

SIZES = [(32, 64), (60, 40)]
DATA = DataOptions(size=(32, 64))
#: The kinds whose predictions are probabilities.
CLASSES = ("semseg", "edges")


def make_pool(folder: Path) -> Made:
    """Five images of four tasks; one label is missing, and the others are fed in as they are."""
    made = make_dataset(folder, n=5, size=SIZES, tasks=("semseg", "depth", "normals", "edges"))
    made.label(made.names[0], "depth").unlink()
    return made


def job_of(
    made: Made,
    statistic: Statistic,
    network: Network | None = None,
    members: Sequence[TrainedModel] = (),
) -> ScoringJob:
    found = definitions(list(made.rows))
    tasks = build_all(found)
    model = TrainedModel(
        network=(network or toy_network(tasks)).eval(), digest="own", members=tuple(members)
    )
    return ScoringJob(
        model=model,
        tasks=tasks,
        definitions=found,
        source=source_of(made),
        data=DATA,
        statistics={"it": statistic},
        stamp={},
        batch=2,
    )


def scored(job: ScoringJob, names: Sequence[str]) -> np.ndarray:
    """The statistic's values of each image, in batches."""
    with torch.inference_mode():
        return np.concatenate([job.statistics["it"](batch) for batch in pool_batches(job, names)])


def predictions(
    job: ScoringJob,
    network: Network,
    name: str,
    at: str,
    known: bool = True,
    mirrored: bool = False,
) -> Mapping[str, np.ndarray]:
    """One image's predictions [c, h, w] by task, float64, by a whole forward pass.

    Those of its mirrored view.
    """
    labels = partial(labels_of, job.source, job.definitions) if known else None
    (batch,) = eval_batches(job.source, job.definitions, [name], DATA, batch=1, known_labels=labels)
    with torch.no_grad():
        final = network(
            batch.images.flip(-1) if mirrored else batch.images, batch.targets or None
        ).final
        found = {}
        for task, raw in final.items():
            size = {"original": batch.frames[0].original, "half": (16, 32), "head": raw.shape[-2:]}[
                at
            ]
            wide = functional.interpolate(
                raw, size=tuple(size), mode="bilinear", align_corners=False
            )
            found[task] = job.tasks[task].activate(wide)[0].double().numpy()
    return found


def shannon(probabilities: np.ndarray) -> np.ndarray:
    """Entropy [h, w] of probabilities [c, h, w]; of two classes where c = 1."""
    full = (
        probabilities
        if len(probabilities) > 1
        else np.concatenate([probabilities, 1 - probabilities])
    )
    return -(full * np.log(np.maximum(full, 1e-300))).sum(0)


def entropy(kind: str, samples: np.ndarray) -> float:
    """The mean over pixels of the uncertainty of predictions [d, c, h, w] (PartAL A.1)."""
    mean = samples.mean(0)
    if kind in CLASSES:
        return float(shannon(mean).mean())
    n = samples.shape[1]
    centred = samples - mean
    covariance = np.einsum("dihw,djhw->hwij", centred, centred) / len(samples) + (
        1e-6 * np.eye(3) if n == 3 else 0
    )
    covariance = np.maximum(covariance, 1e-6) if n == 1 else covariance
    return float(
        (n / 2 * np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(covariance)[1] + n / 2).mean()
    )


def of_mean(measure: Callable[[np.ndarray], np.ndarray]) -> Callable[[str, np.ndarray], float]:
    """The mean over pixels of a measure of the mean probabilities [c, h, w], largest first.

    The variance of values.
    """

    def mean(kind: str, samples: np.ndarray) -> float:
        if kind not in CLASSES:
            return information(kind, samples)
        full = samples.mean(0)
        full = full if len(full) > 1 else np.concatenate([full, 1 - full])
        return float(measure(np.sort(full, 0)[::-1]).mean())

    return mean


least_confidence = of_mean(lambda ordered: 1 - ordered[0])
margin = of_mean(lambda ordered: 1 - (ordered[0] - ordered[1]))


def information(kind: str, samples: np.ndarray) -> float:
    """The mean over pixels of what predictions [d, c, h, w] disagree on."""
    if kind in CLASSES:
        return float(
            (shannon(samples.mean(0)) - np.mean([shannon(one) for one in samples], 0)).mean()
        )
    return float(((samples - samples.mean(0)) ** 2).sum(1).mean())
