"""What tests of predictions by a network outside the program share: folders of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.rounds.models import restore
from labelgrid.rounds.pool_scorer import scoring_job
from labelgrid.score.pool import pool_batches
from labelgrid.score.statistics.dropout import DropoutPasses, Options


def write_file(folder: Path, image_id: str, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write the predictions of an image."""
    path = folder / Path(image_id).with_suffix(".npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def made_up(seed: int, size: tuple[int, int] = (8, 12), passes: int = 3) -> dict[str, np.ndarray]:
    """Predictions of four classes, of depth and of normals that no network made."""
    rng = np.random.default_rng(seed)
    classes = rng.dirichlet(np.ones(4), (passes, *size)).transpose(0, 3, 1, 2)
    normals = rng.normal(size=(passes, 3, *size))
    return {
        "semseg.probabilities": classes.astype(np.float32),
        "depth.values": rng.uniform(1, 5, (passes, 1, *size)).astype(np.float32),
        "normals.values": (normals / np.linalg.norm(normals, axis=1, keepdims=True)),
        "features": rng.normal(size=5).astype(np.float32),
    }


def write_made_up(project: ProjectFolder, folder: Path) -> None:
    """Write made-up predictions of all images of a project."""
    for number, row in enumerate(project.store.images()):
        write_file(folder, row.image_id, made_up(number))


def export_network(project: ProjectFolder, folder: Path, contents: str, passes: bool) -> None:
    """Write what the project's newest network predicts of all images.

    Args:
        project: with a trained network.
        folder: the folder for the files.
        passes: several dropout passes, not one plain prediction.
        contents: of the classes, "logits" or "probabilities". Vectors keep their length.
    """
    fit = newest_fit(project.folder)
    context, model = restore(project, fit)
    options = Options(**context.recipe.score["dropout"])
    image_ids = [row.image_id for row in project.store.images()]
    unlabelled = scoring_job(context, model, {}, {})
    for pool in pool_batches(unlabelled, image_ids):
        with torch.inference_mode():
            predicted = [pool.output.final]
            if passes:
                predicted = list(DropoutPasses.of(pool, options, fit.seed))
        pooled = pool.features.shared.mean((2, 3)).numpy()
        for row, image_id in enumerate(pool.batch.ids):
            arrays = {"features": pooled[row]}
            for name, task in context.tasks.items():
                raws = [own[name][row : row + 1] for own in predicted]
                if contents == "probabilities" and task.probabilities:
                    raws = [task.activate(raw) for raw in raws]
                content = contents if task.probabilities else "values"
                arrays[f"{name}.{content}"] = np.concatenate([raw.numpy() for raw in raws])
            write_file(folder, image_id, arrays)
