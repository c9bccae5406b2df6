"""Mean teacher: an average of the network's past weights labels what images lack, where confident.

The teacher sees the batch, the network the same images in other colours (weak to strong
consistency).
"""

import copy
import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from labelgrid.basics.config import check_unused_options
from labelgrid.nets.encoder_options import Rate
from labelgrid.nets.network import Network, Output, Raw, reason_to_ignore
from labelgrid.pixel.target import Target, Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.batch_norm import track_statistics
from labelgrid.train.colour_operations import RecolouringTerm
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import (
    fixed_weights,
    prediction_at,
    targets_present,
    task_losses,
)
from labelgrid.train.term import Preparation, Step, Views
from labelgrid.train.term_options import Levels, Operations, Share, Weight
from labelgrid.train.train_options import LEVELS


@dataclass(frozen=True, kw_only=True)
class Options:
    """The teacher, the trusted pixels, and the input of the network.

    Args:
        weight: the weight of the loss, beside the weight of each task.
        decay: the share of its weights that the teacher keeps in a step, at most: 1 - 1 / (n + 1)
            in step n. 0.996 in UniMatch V2, 0.999 in Tarvainen & Valpola.
        confidence: for class and binary tasks, a pixel counts from this largest probability on.
        certain: for values such as depth, the share of an image's pixels that counts: the pixels
            where the predictions of the image and of its mirror image agree most; 1: all.
        known: the teacher predicts given the labels of the image's other tasks.
        operations: number of changes to the colours of each image that the network sees.
        levels: the number of their strengths, of 31.
        track: also update batch norm's running statistics, and so the teacher's, from the further
            passes.
        features: drop this share of the encoder's channels in a further pass of the heads, whose
            loss counts as much; 0: no such pass. 0.5 in UniMatch.
        ramp: share of the training over which the weight rises, as exp(-5 (1 - x)^2) (Tarvainen &
            Valpola); 0: none.
        evaluate: evaluate, score and predict with the weights of the `"teacher"` or the
            `"student"`.
    """

    weight: Weight = 1.0
    decay: Share = 0.996
    confidence: Share = 0.95
    certain: Share = 0.5
    known: bool = False
    operations: Operations = 2
    levels: Levels = LEVELS
    track: bool = True
    features: Rate = 0.0
    ramp: Share = 0.0
    evaluate: Literal["teacher", "student"] = "teacher"

    def __post_init__(self) -> None:
        if not self.operations:
            check_unused_options(self, "operations = 0", "levels")


class MeanTeacher(RecolouringTerm):
    """The tasks' own losses against the teacher's predictions of the tasks that an image lacks.

    Source: Tarvainen & Valpola 2017 for the teacher; Sohn et al. 2020 (FixMatch), eq. 4, for the
    mask, and the mean over all pixels, so that an image with few confident ones counts little; Yang
    et al. 2023 and 2025 (UniMatch and its V2) for the dropped channels, the decay and the average
    of batch norm's statistics. Like MTPSL's losses it is a mean over each image's unlabelled tasks.
    Deviation: the other view changes colours alone, so that pixels keep their values in all tasks;
    UniMatch also mixes images, and has two such views.
    """

    def __init__(self, network: Network, options: Options) -> None:
        super().__init__(options.operations, options.levels)
        self.options = options
        self.track = options.track
        self.teacher: Network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()

    def prepare(self, data: Preparation) -> None:
        """Start from the network's weights.

        Note the normalisation of images; say if its loss can have no effect.
        """
        say_if_idle("mean_teacher", data, unlabelled=True)
        reason = reason_to_ignore(data.network)
        if self.options.known and reason:
            data.progress.say(
                f"The network {reason}: the option 'known' of the term 'mean_teacher' does nothing."
            )
        self.teacher.load_state_dict(data.network.state_dict())
        self.note_normalisation(data.data)

    def views(self) -> Views:
        """Return the images in other colours."""
        return {"strong": self.recolour}

    def loss(self, step: Step) -> Tensors:
        """Compute a loss [b] for each missing task; 0 for images with a label of the task."""
        missing = ~targets_present(step.batch.targets, list(step.tasks))
        targets = self.pseudo(step, missing)
        tasks = {name: step.tasks[name] for name in targets}
        outputs = [step.views["strong"][1]]
        if self.options.features:
            outputs.append(self._predict_perturbed(step))
        initial = step.objective.initial
        losses = [task_losses(tasks, output, targets, initial) for output in outputs]
        weights = fixed_weights(step.tasks, step.objective)
        counts = missing.sum(1).clamp(min=1)
        ramp = 1.0
        if step.progress < self.options.ramp:
            ramp = math.exp(-5 * (1 - step.progress / self.options.ramp) ** 2)
        scale = self.options.weight * ramp / len(outputs)
        weighted = {}
        for name, target in targets.items():
            total = sum(of_output[name] for of_output in losses)
            fraction = target.valid.float().mean((1, 2, 3))
            weighted[name] = scale * weights[name] * total * fraction / counts
        return weighted

    @torch.no_grad()
    def pseudo(self, step: Step, missing: Tensor) -> dict[str, Target]:
        """Let the teacher label the missing tasks; pixels that count are valid.

        Args:
            step: the step of the training.
            missing: bool [b, t], True for the tasks that an image lacks.
        """
        options = self.options
        columns = {name: column for column, name in enumerate(step.tasks)}
        lacking = [name for name in columns if bool(missing[:, columns[name]].any())]
        if not lacking:
            return {}
        only_classes = all(step.tasks[name].probabilities for name in lacking)
        images = step.batch.images
        size = step.batch.image_size
        known_labels = step.batch.targets if options.known else None
        raws: Raw = self.teacher.eval()(images, known_labels).final
        plain = raws
        mirrored: Raw = {}
        if options.certain < 1 and not only_classes:
            if known_labels is not None:
                plain = self.teacher(images).final
            mirrored = self.teacher(images.flip(-1)).final
        targets = {}
        for name in lacking:
            task = step.tasks[name]
            prediction = prediction_at(task, raws[name], size)
            target = task.to_target(prediction)
            counts = target.valid & missing[:, columns[name], None, None, None]
            if task.probabilities:
                largest = task.probabilities(prediction).amax(1, keepdim=True)
                counts = counts & (largest >= options.confidence)
            elif mirrored:
                other = task.scale.mirrored(prediction_at(task, mirrored[name].flip(-1), size))
                gaps = task.disagreement(prediction_at(task, plain[name], size), other)
                counts = smallest_gaps(gaps, counts, options.certain)
            targets[name] = replace(target, valid=counts)
        return targets

    def _predict_perturbed(self, step: Step) -> Output:
        dropped = self.options.features
        generator = step.draws.generator("features")
        rows = step.draws.rows(step.batch.ids)

        def drop_channels(maps: Tensor) -> Tensor:
            drawn = torch.rand(len(step.draws.ids), maps.shape[1], generator=generator)
            stays = drawn[rows].to(maps.device) >= dropped
            return maps * (stays[:, :, None, None] / (1 - dropped)).to(maps.dtype)

        with track_statistics(step.network, self.track):
            return step.network.decode(step.output.features.each(drop_channels))

    def after_step(self, step: Step) -> None:
        """Move the teacher's weights and statistics to the network's."""
        decay = min(1 - 1 / (step.number + 1), self.options.decay)
        weights = step.network.state_dict()
        for name, average in self.teacher.state_dict().items():
            if average.is_floating_point():
                average.lerp_(weights[name], 1 - decay)
            else:
                average.copy_(weights[name])

    def evaluated(self) -> Tensors | None:
        """Return the teacher's weights, if they are to be evaluated."""
        if self.options.evaluate != "teacher":
            return None
        return self.teacher.state_dict()


def smallest_gaps(gaps: Tensor, valid: Tensor, fraction: float) -> Tensor:
    """Return where an image's gaps are among the smallest fraction, or as small: bool [b, 1, h, w].

    The fraction is that of the image's valid pixels.

    Args:
        gaps: [b, 1, h, w].
        valid: bool [b, 1, h, w].
        fraction: a fraction in 0..1.

    Example:
        >>> gaps = torch.tensor([3.0, 1.0, 0.0, 2.0]).view(1, 1, 1, 4)
        >>> valid = torch.tensor([True, True, False, True]).view(1, 1, 1, 4)
        >>> smallest_gaps(gaps, valid, 0.5).flatten()
        tensor([False,  True, False,  True])
    """
    count = (fraction * valid.flatten(1).sum(1).double()).ceil().long()
    ascending = gaps.masked_fill(~valid, torch.inf).flatten(1).sort(1).values
    limit = ascending.gather(1, (count - 1).clamp(min=0)[:, None])
    return valid & (gaps <= limit[:, :, None, None]) & (count > 0).view(-1, 1, 1, 1)


def build(tasks: Tasks, network: Network, options: Options) -> MeanTeacher:
    """Build the term."""
    return MeanTeacher(network, options)
