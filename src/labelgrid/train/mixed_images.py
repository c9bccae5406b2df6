"""Mixes images of a training batch: a part of an image is pasted into another, labels included."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.type_names import Size
from labelgrid.data.batch import Batch
from labelgrid.pixel.target import SoftTarget, Target
from labelgrid.tasks.task import Tasks
from labelgrid.train.crop_boxes import Box
from labelgrid.train.objective import targets_present
from labelgrid.train.train_options import TrainOptions

#: Returns the random numbers of an image in a step, by its id.
Draw = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Pastes:
    """The parts to paste into the images of a batch.

    Args:
        partners: int64 [b], the rows of the images that parts are taken of; an image without a
            paste has itself.
        masks: bool [b, 1, h, w], where it is pasted.
    """

    partners: Tensor
    masks: Tensor

    def mix(self, maps: Tensor) -> Tensor:
        """Paste the partners' maps [b, c, h, w]."""
        return torch.where(self.masks, maps[self.partners], maps)

    def mix_target(self, target: Target) -> Target:
        """Paste the partners' labels; without a label of the partner, its part has none.

        Only classes that were annotated in both parts count as annotated.
        """
        annotated = target.annotated
        if annotated is not None:
            kept, pasted = self.pixels(target)
            rest = annotated | (kept == 0)[:, None]
            annotated = rest & (annotated[self.partners] | (pasted == 0)[:, None])
        return Target(self.mix(target.value), self.mix(target.valid), annotated)

    def clear(self, target: Target) -> Target:
        """Leave the labels out where something is pasted."""
        return replace(target, valid=target.valid & ~self.masks)

    def pixels(self, target: Target) -> tuple[Tensor, Tensor]:
        """Count the valid pixels that stay, and the pasted pixels, [b] each."""
        kept = (target.valid & ~self.masks).sum((1, 2, 3))
        pasted = (target.valid[self.partners] & self.masks).sum((1, 2, 3))
        return kept, pasted

    def mix_weights(self, weights: Tensor, target: Target) -> Tensor:
        """Average the weights [b] of both labels by their valid pixels in the mixed image."""
        kept, pasted = self.pixels(target)
        fraction = pasted / (kept + pasted).clamp(min=1)
        return torch.lerp(weights, weights[self.partners], fraction)


def mix_images(batch: Batch, tasks: Tasks, options: TrainOptions, draw: Draw) -> Batch:
    """Paste a part of another image of the batch into some of its images, with all labels.

    Each image with a label of `mix_tasks` is mixed with the probability `mix_share`, with another
    such image drawn at random, in its unmixed state. A label of only one of both is valid in its
    own part alone. Tasks that are not among `mix_tasks` keep their labels outside of the pasted
    part. A mixed image has no supplied labels that are not sure. The camera of a mixed image is
    unknown, unless both have the same.

    Source: Yun et al. 2019 (CutMix); French et al. 2020 for the rectangle: half of the image, of
    random shape and place; Olsson et al. 2021 (ClassMix) for the pixels of half of the classes.
    Deviation: French et al. and Olsson et al. mix unlabelled images and their predictions; here
    labels are mixed, with the gaps among them.

    Args:
        batch: the batch of the training.
        tasks: the tasks in the order of `batch.weights`.
        options: the options of the training.
        draw: makes the random numbers of each image.
    """
    names = _mixed_tasks(options, tasks)
    pastes = _draw_pastes(batch, tasks, options, draw)
    targets = {}
    weights = batch.weights.clone()
    for column, name in enumerate(tasks):
        target = batch.targets[name]
        targets[name] = pastes.clear(target)
        if name in names:
            targets[name] = pastes.mix_target(target)
            weights[:, column] = pastes.mix_weights(weights[:, column], target)
    soft: dict[str, dict[str, SoftTarget]] = {}
    for term, soft_targets in batch.soft.items():
        soft[term] = {}
        for name, label in soft_targets.items():
            if name in names:
                confidence = pastes.mix(label.confidence)
                mixed = pastes.mix_target(label.target)
            else:
                confidence = label.confidence * ~pastes.masks
                mixed = pastes.clear(label.target)
            soft[term][name] = SoftTarget(mixed, confidence)
    whole = ~pastes.masks.flatten(1).any(1).view(-1, 1, 1, 1)
    supplied = {name: labels.where(whole) for name, labels in batch.supplied.items()}
    camera = batch.camera
    if camera is not None:
        same = (camera == camera[pastes.partners]).all(1, keepdim=True)
        camera = torch.where(same, camera, torch.nan)
    return replace(
        batch,
        images=pastes.mix(batch.images),
        targets=targets,
        weights=weights,
        soft=soft,
        supplied=supplied,
        camera=camera,
    )


def class_tasks(options: TrainOptions, tasks: Tasks) -> list[str]:
    """List the mixed tasks whose labels are class maps."""
    return [name for name in _mixed_tasks(options, tasks) if tasks[name].largest]


def _mixed_tasks(options: TrainOptions, tasks: Tasks) -> list[str]:
    return [name for name in tasks if name in (options.mix_tasks or tasks)]


def _draw_pastes(batch: Batch, tasks: Tasks, options: TrainOptions, draw: Draw) -> Pastes:
    names = _mixed_tasks(options, tasks)
    givers = class_tasks(options, tasks) if options.mix == "class" else names
    takes = _have_label(batch, names)
    gives = _have_label(batch, givers)
    partners = torch.arange(len(batch.ids))
    masks = torch.zeros_like(batch.images[:, :1], dtype=torch.bool)
    for row, image_id in enumerate(batch.ids):
        rng = draw(image_id)
        others = [other for other in gives if other != row]
        if rng.random() >= options.mix_share or row not in takes or not others:
            continue
        partner = others[int(rng.integers(len(others)))]
        partners[row] = partner
        if options.mix == "cut":
            _draw_box(rng, batch.image_size).cut(masks[row])[:] = True
        else:
            labels = [batch.targets[name][partner : partner + 1] for name in givers]
            label = next(target for target in labels if bool(target.present))
            masks[row] = _draw_classes(rng, label)[0]
    return Pastes(partners.to(batch.images.device), masks)


def _have_label(batch: Batch, names: Sequence[str]) -> list[int]:
    if not names:
        return []
    return targets_present(batch.targets, names).any(1).nonzero()[:, 0].tolist()


def _draw_box(rng: np.random.Generator, size: Size) -> Box:
    """Draw a rectangle of half of the image, with sides from half to all of the image's."""
    shape = rng.random()
    height = max(1, round(size[0] * 0.5**shape))
    width = max(1, round(size[1] * 0.5 ** (1 - shape)))
    top = int(rng.integers(size[0] - height + 1))
    left = int(rng.integers(size[1] - width + 1))
    return Box(top, left, height, width)


def _draw_classes(rng: np.random.Generator, label: Target) -> Tensor:
    """Draw half of a label's classes, rounded up: where they are, bool of the label's shape."""
    classes = torch.unique(label.value[label.valid])
    order = torch.from_numpy(rng.permutation(len(classes))).to(classes.device)
    chosen = classes[order[: (len(classes) + 1) // 2]]
    return torch.isin(label.value, chosen) & label.valid
