"""Mean teacher: an average of the network's past weights labels what images lack, where confident.

The teacher sees the batch, the network the same images in other colours (weak to strong
consistency).
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from labelgrid.basics.config import check_unused_options
from labelgrid.data.batch import Batch
from labelgrid.nets.encoder_options import Rate
from labelgrid.nets.network import Network, Output, Raw, reason_to_ignore
from labelgrid.pixel.target import Target, Tensors
from labelgrid.tasks.task import Task, Tasks
from labelgrid.train.batch_norm import track_statistics
from labelgrid.train.colour_operations import change_colours
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import (
    fixed_weights,
    half_to_float,
    resize_output,
    targets_present,
    task_losses,
)
from labelgrid.train.ranges import Share, Weight
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import Preparation, Step, Term, View
from labelgrid.train.train_options import LEVELS


@dataclass(frozen=True, kw_only=True)
class Options:
    """The teacher, the pixels that it is trusted with, and what the network sees.

    Args:
        weight: of the loss, beside the weight of each task.
        decay: the share of its weights that the teacher keeps in a step, at most: 1 - 1 / (n + 1)
            in step n. 0.996 in UniMatch V2, 0.999 in Tarvainen & Valpola.
        confidence: for class and binary tasks, a pixel counts from this largest probability on.
        certain: for values such as depth, this share of an image's pixels counts: those at which
            the predictions of the image and of its mirror image agree most; 1: all.
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
    operations: Annotated[int, Field(ge=0, le=16)] = 2
    levels: Annotated[int, Field(ge=1, le=LEVELS)] = LEVELS
    track: bool = True
    features: Rate = 0.0
    ramp: Share = 0.0
    evaluate: Literal["teacher", "student"] = "teacher"

    def __post_init__(self) -> None:
        if not self.operations:
            check_unused_options(self, "operations = 0", "levels")


class MeanTeacher(Term):
    """The tasks' own losses against the teacher's predictions of the tasks that an image lacks.

    Source: Tarvainen & Valpola 2017 for the teacher; Sohn et al. 2020 (FixMatch), eq. 4, for the
    mask, and the mean over all pixels, so that an image with few confident ones counts little; Yang
    et al. 2023 and 2025 (UniMatch and its V2) for the dropped channels, the decay and the average
    of batch norm's statistics. Like MTPSL's losses it is a mean over each image's unlabelled tasks.
    Deviation: the other view changes colours alone, so that pixels keep their values in all tasks;
    UniMatch also mixes images, and has two such views.
    """

    colour_mean: Tensor
    colour_std: Tensor

    def __init__(self, network: Network, options: Options) -> None:
        super().__init__()
        self.options = options
        self.track = options.track
        self.teacher: Network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
        self.register_buffer("colour_mean", torch.zeros(3))
        self.register_buffer("colour_std", torch.ones(3))

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
        self.colour_mean.copy_(torch.tensor(data.data.mean))
        self.colour_std.copy_(torch.tensor(data.data.std))

    def views(self) -> Mapping[str, View]:
        """Return the images in other colours."""
        return {"strong": self._recolour}

    def _recolour(self, batch: Batch, draws: Draws) -> Batch:
        """Change the colours of the batch's images."""
        images = change_colours(
            batch.images,
            batch.ids,
            draws,
            operations=self.options.operations,
            levels=self.options.levels,
            mean=self.colour_mean,
            std=self.colour_std,
        )
        return replace(batch, images=images)

    def loss(self, step: Step) -> Tensors:
        """Compute a loss [b] for each task that an image lacks; 0 for images with its label."""
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
        scale = self.options.weight * self._ramp(step.progress) / len(outputs)
        weighted = {}
        for name, target in targets.items():
            total = sum(of_output[name] for of_output in losses)
            weighted[name] = scale * weights[name] * total * _valid_share(target) / counts
        return weighted

    @torch.no_grad()
    def pseudo(self, step: Step, missing: Tensor) -> dict[str, Target]:
        """Let the teacher label the tasks that images lack; its labels are valid where they count.

        Args:
            step: of the training.
            missing: bool [b, t], True for the tasks that an image lacks.
        """
        options = self.options
        columns = {name: column for column, name in enumerate(step.tasks)}
        lacking = [name for name in columns if bool(missing[:, columns[name]].any())]
        if not lacking:
            return {}
        only_classes = all(step.tasks[name].probabilities for name in lacking)
        images = step.batch.images
        size = images.shape[-2:]
        known = step.batch.targets if options.known else None
        raws: Raw = self.teacher.eval()(images, known).final
        plain = raws
        mirrored: Raw = {}
        if options.certain < 1 and not only_classes:
            plain, mirrored = self._predict_mirrored(images, raws if known is None else None)
        targets = {}
        for name in lacking:
            task = step.tasks[name]
            prediction = _predict(task, raws[name], size)
            target = task.to_target(prediction)
            counts = target.valid & missing[:, columns[name], None, None, None]
            if task.probabilities:
                largest = task.probabilities(prediction).amax(1, keepdim=True)
                counts = counts & (largest >= options.confidence)
            elif mirrored:
                other = task.scale.mirrored(_predict(task, mirrored[name].flip(-1), size))
                gaps = task.disagreement(_predict(task, plain[name], size), other)
                counts = smallest_gaps(gaps, counts, options.certain)
            targets[name] = replace(target, valid=counts)
        return targets

    def _predict_mirrored(self, images: Tensor, plain: Raw | None) -> tuple[Raw, Raw]:
        """Return the teacher's outputs without known labels, for images and their mirror images.

        `plain` are those for the images, if they are there already.
        """
        if plain is None:
            plain = self.teacher(images).final
        return plain, self.teacher(images.flip(-1)).final

    def _predict_perturbed(self, step: Step) -> Output:
        """Return the network's output for the batch, from maps with some channels dropped."""
        share = self.options.features
        generator = step.draws.generator("features")
        rows = step.draws.rows(step.batch.ids)

        def drop_channels(maps: Tensor) -> Tensor:
            drawn = torch.rand(len(step.draws.ids), maps.shape[1], generator=generator)
            stays = drawn[rows].to(maps.device) >= share
            return maps * (stays[:, :, None, None] / (1 - share)).to(maps.dtype)

        with track_statistics(step.network, self.track):
            return step.network.decode(step.output.features.each(drop_channels))

    def _ramp(self, progress: float) -> float:
        """Return the factor of the weight at this share of the training."""
        ramp = self.options.ramp
        if progress >= ramp:
            return 1.0
        return math.exp(-5 * (1 - progress / ramp) ** 2)

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
        return self.teacher.state_dict() if self.options.evaluate == "teacher" else None


def smallest_gaps(gaps: Tensor, valid: Tensor, share: float) -> Tensor:
    """Return where an image's gaps are among the smallest share, or as small: bool [b, 1, h, w].

    The share is that of the image's valid pixels.

    Args:
        gaps: [b, 1, h, w].
        valid: bool [b, 1, h, w].
        share: in 0..1.

    Example:
        >>> gaps = torch.tensor([3.0, 1.0, 0.0, 2.0]).view(1, 1, 1, 4)
        >>> valid = torch.tensor([True, True, False, True]).view(1, 1, 1, 4)
        >>> smallest_gaps(gaps, valid, 0.5).flatten()
        tensor([False,  True, False,  True])
    """
    count = (share * valid.flatten(1).sum(1).double()).ceil().long()
    order = gaps.masked_fill(~valid, torch.inf).flatten(1).sort(1).values
    limit = order.gather(1, (count - 1).clamp(min=0)[:, None])
    return valid & (gaps <= limit[:, :, None, None]) & (count > 0).view(-1, 1, 1, 1)


def _predict(task: Task, raw: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return a task's prediction of a raw output, at this size."""
    return task.activate(resize_output(half_to_float(raw), size))


def _valid_share(target: Target) -> Tensor:
    """Return the share of each image's pixels that are valid, [b]."""
    return target.valid.float().mean((1, 2, 3))


def build(tasks: Tasks, network: Network, options: Options) -> MeanTeacher:
    """Build the term."""
    return MeanTeacher(network, options)
