"""Trains networks beside the networks of rounds, in separate folders, and keeps the results."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from labelgrid.basics.config import parse
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.files import read_text, remove_folder, write_text
from labelgrid.basics.progress import Progress
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.filled_labels import FilledLabels
from labelgrid.rounds.fit import Splits, identity_of, plan_of
from labelgrid.rounds.models import new_network
from labelgrid.train.checkpoint import load, read_identity, same_training
from labelgrid.train.loop import fit as train
from labelgrid.train.trained_model import TrainedModel, restore_states


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The base of records that a finished training leaves.

    Args:
        identity: all that it depends on; a record with another identity is outdated.
    """

    identity: str


T = TypeVar("T", bound=TrainingResult)


@dataclass(frozen=True, kw_only=True)
class ExtraTraining:
    """A training without contact to the trainings of rounds.

    Its checkpoints are removed once the result is kept. A killed training is resumed.

    Args:
        context: the context of the project, with the labels to learn from and the seed of the
            training.
        splits: the training images and the val images.
        folder: the folder of this training alone.
        progress: receives the progress.
    """

    context: RoundContext
    splits: Splits
    folder: Path
    progress: Progress

    @property
    def identity(self) -> str:
        """The recipe, seed, tasks and labels of the training, as JSON."""
        train, val = self.splits
        return identity_of(FilledLabels(self.context, train), val, start="")

    def read(self, kind: type[T], name: str, identity: str) -> T | None:
        """Read the result of the finished training; None without, or with another identity.

        Args:
            kind: the kind of the record.
            name: the name of its file.
            identity: the identity that the record must have.
        """
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            result = parse(kind, json.loads(read_text(path)), str(path))
        except (ValueError, RecipeError):
            return None
        if result.identity != identity:
            return None
        remove_folder(self.folder / "fit")  # a process killed after the record may have left it
        return result

    def keep(self, result: TrainingResult, name: str) -> None:
        """Write the result of the finished training, and remove the checkpoints."""
        write_text(self.folder / name, json.dumps(asdict(result), indent=1) + "\n")
        remove_folder(self.folder / "fit")

    def train(self) -> TrainedModel:
        """Train the network, or resume its training.

        Raises:
            TrainingError: a loss is not finite.
            ModelError: the network or its weights cannot be used.
        """
        context = self.context
        network = new_network(context, self.progress)
        # Round 1 has no previous round, whose model may have learned from what this must not see.
        plan = plan_of(context, network, splits=self.splits, number=1)
        last = self.folder / "fit" / "last.ckpt"
        if last.exists() and not same_training(read_identity(last), plan.identity):
            self.progress.say("The labels or the recipe changed: this training starts anew.")
            remove_folder(self.folder / "fit")
        checkpoint = train(plan, self.folder / "fit", self.progress)
        model = restore_states(load(checkpoint, context.encoders), network, plan.terms)
        return replace(model, trained=plan.labelled_tasks)
