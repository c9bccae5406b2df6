"""What training tests share: the toys of `labelgrid.testing`, and whole trainings."""

from pathlib import Path

import torch

from labelgrid.basics.progress import Silent
from labelgrid.testing.toys import DATA, ENCODER, source_of, toy_network, toy_plan
from labelgrid.train.plan import Plan
from labelgrid.train.trainer import Trainer

__all__ = ["DATA", "ENCODER", "source_of", "toy_network", "toy_plan", "train", "weights_of"]


def train(plan: Plan, folder: Path) -> None:
    """Train the plan's network for its whole length, without the loop's checkpoints and log."""
    trainer = Trainer(plan)
    trainer.prepare(folder, Silent(), resumed=False)
    while trainer.epoch < plan.epochs:
        trainer.run_epoch(Silent())


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    from labelgrid.train.checkpoint import load

    return load(path).network
