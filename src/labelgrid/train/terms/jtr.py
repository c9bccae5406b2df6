"""Joint-task regularisation (JTR): an auto-encoder of all tasks' maps compares their codes.

The predictions of all tasks at once are to have the code of the labels.

Predictions stand in for labels that an image lacks. One pass serves all tasks, so the cost is
linear in their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from labelgrid.basics.config import check_unused_options
from labelgrid.data.batch import Batch
from labelgrid.nets.network import Network
from labelgrid.nets.unpooling import EncoderDecoder, initialise, per_image_norm
from labelgrid.pixel.target import Tensors, mean_per_image
from labelgrid.tasks.scale import apply_normal_cdf
from labelgrid.tasks.task import Task, Tasks
from labelgrid.train.colour_operations import RecolouringTerm
from labelgrid.train.crop_boxes import crop_at_random, mirror_some
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.inputs import label_maps, prediction_maps
from labelgrid.train.objective import half_to_float, resize_output, targets_present
from labelgrid.train.pairs import distance, pairs_of
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import Preparation, RateGroup, Step, Views
from labelgrid.train.term_options import (
    FirstWidth,
    Levels,
    Operations,
    OwnRate,
    Share,
    Weight,
    Zooms,
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The weights, the auto-encoder and the views of the released code.

    The paper itself was not seen.

    Args:
        weight: the weight of the distance of the codes of predictions and labels.
        encoder: weight of this distance in another view, for the auto-encoder, as a multiple of
            `weight`.
        reconstruction: weight of the auto-encoder's errors.
        errors: the error of the decoded maps: `"mean"` over the pixels where all labels of the
            image are valid, from the encoded maps; or `"released"`: divided by the target's
            non-zero elements, with classes drawn again, and with predicted depth scaled twice.
        width: filters of the auto-encoder's first stage; 8 or 16 trains on a CPU.
        view: compare on two random `"crop"`s of the batch, resized (released), or on the `"batch"`.
        zooms: the zooms of the crops; all are equally likely.
        flip: probability that an image is mirrored before its first crop, beside the flips of
            `[data]`. Released: 0.5 for Cityscapes, 0 for NYUv2.
        operations: number of changes to the colours of each image of a crop.
        levels: the number of their strengths, of 31.
        recolour: the crops alone (`"views"`), or `"all"`: also the supervised batch (released).
        one_pass: predict batch and crops in one pass of the network, with one batch norm
            (released).
        track: also update batch norm's running statistics from the crops.
        scale: how values such as depth become maps: by the `"normal"` distribution's cumulative
            function (released), or over their image's `"maximum"` (as in `mtpsl`).
        mean: the mean of that distribution. Released: 2.3618, of NYUv2's depth.
        deviation: its standard deviation, released: 1.5876; 0: both are those of the training
            labels.
        learning_rate: the learning rate of the auto-encoder; 0: the training's.
    """

    weight: Weight = 4.0
    encoder: Weight = 2.0
    reconstruction: Weight = 2.0
    errors: Literal["mean", "released"] = "mean"
    width: FirstWidth = 64
    view: Literal["crop", "batch"] = "crop"
    zooms: Zooms = (1.0, 1.2, 1.5)
    flip: Share = 0.0
    operations: Operations = 2
    levels: Levels = 6
    recolour: Literal["views", "all"] = "views"
    one_pass: bool = False
    track: bool = True
    scale: Literal["normal", "maximum"] = "normal"
    mean: Annotated[float, Field(ge=-1e9, le=1e9)] = 0.0
    deviation: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    learning_rate: OwnRate = 0.0

    def __post_init__(self) -> None:
        if self.view == "batch":
            of_crops = ["zooms", "flip", "operations", "levels", "recolour", "one_pass", "track"]
            check_unused_options(self, 'view = "batch"', *of_crops)
        if not self.operations:
            check_unused_options(self, "operations = 0", "levels", "recolour")
        if self.one_pass:
            check_unused_options(self, "one_pass = true", "track")
        if self.scale == "maximum":
            check_unused_options(self, 'scale = "maximum"', "mean", "deviation")
        if not self.reconstruction:
            check_unused_options(self, "reconstruction = 0", "errors")
        if not self.deviation:
            check_unused_options(self, "deviation = 0", "mean")


class MapEncoder(nn.Module):
    """SegNet as an auto-encoder of stacked maps; its norms see each image by itself.

    Args:
        channels: the channels of the stack.
        width: filters of the first stage.

    Source: JTR's released code, whose batch norm sees one image at a time. Deviation: without its
    unused norm of the maps, 2 × channels parameters.

    Example:
        >>> codes, raw = MapEncoder(17, 4)(torch.zeros(2, 17, 32, 64))
        >>> codes.shape, raw.shape
        (torch.Size([2, 32, 1, 2]), torch.Size([2, 17, 32, 64]))
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = EncoderDecoder(width, channels, per_image_norm)
        self.head = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, channels, 1)
        )
        initialise(self)

    def forward(self, maps: Tensor, *, decode: bool = True) -> tuple[Tensor, Tensor | None]:
        """Encode stacks [b, channels, h, w] to [b, 8 width, h', w'], and rebuild them."""
        if not decode:
            return self.body.codes(maps), None
        features = self.body(maps)
        return features.deepest, self.head(features.shared)

    def constant(self, maps: Tensor) -> Tensor:
        """Return the codes, whose gradients reach the maps but not the auto-encoder."""
        frozen = {name: p.detach() for name, p in self.named_parameters()}
        return functional_call(self, frozen, (maps,), {"decode": False})[0]


@dataclass(frozen=True)
class Stacks:
    """The maps of some images of a view: first the predictions, then the labels.

    They are [2r, channels, h, w].

    Args:
        rows: the images' places in the batch, [r].
        mask: where all labels of an image are valid, bool [r, 1, h, w].
    """

    maps: Tensor
    rows: Tensor
    mask: Tensor


class JointRegularisation(RecolouringTerm):
    """Compares the codes of predictions and labels, and trains the auto-encoder for the codes.

    Source: JTR's released code: w (d1 + e d2) + r recon for each image. The network learns from d1,
    by its predictions of unlabelled tasks in both stacks; the auto-encoder is constant in d1, and
    learns from d2 and the reconstruction of both stacks, whose maps are constant. Where all tasks
    have labels the network gets no gradient.

    Reading: pixels where a labelled task is not valid are neutral in all predictions; an error is
    the mean over the other pixels, once through the scale, of the maps that were encoded (`errors =
    "released"`: as there). Deviation: images without any label
    do not count; each view is predicted in a pass of its own, unless `one_pass`.
    """

    means: Tensor
    deviations: Tensor

    def __init__(self, tasks: Tasks, options: Options) -> None:
        super().__init__(options.operations, options.levels)
        self.options = options
        self.tasks = dict(tasks)
        self.names = list(tasks)
        self.track = options.track
        self.one_pass = options.one_pass
        self.channels = [task.channels for task in tasks.values()]
        self.encoder = MapEncoder(sum(self.channels), options.width)
        self.register_buffer("means", torch.full((len(tasks),), options.mean))
        self.register_buffer("deviations", torch.full((len(tasks),), options.deviation or 1.0))

    def groups(self) -> Sequence[RateGroup]:
        """Return the auto-encoder."""
        return [RateGroup(list(self.encoder.parameters()), self.options.learning_rate)]

    def prepare(self, data: Preparation) -> None:
        """Note the images' normalisation and the labels' moments; say if it can have no effect."""
        # Without such a pair, no prediction in the stacks has a graph.
        pairs = partial(pairs_of, sources="unlabelled")
        say_if_idle("jtr", data, unlabelled=True, pairs=pairs)
        if len(self.names) < 2:
            return
        self.note_normalisation(data.data)
        unbounded = [i for i, task in enumerate(self.tasks.values()) if task.scale.unbounded]
        if not unbounded or self.options.deviation or self.options.scale == "maximum":
            return
        sums = torch.zeros(len(self.names), 3, dtype=torch.float64, device=self.means.device)
        for batch in data.batches(0):
            for i in unbounded:
                target = batch.targets[self.names[i]]
                values = target.safe().double()
                sums[i] += torch.stack([target.valid.sum(), values.sum(), values.square().sum()])
        for i in unbounded:
            count, total, squares = sums[i].tolist()
            if count:
                self.means[i] = total / count
                self.deviations[i] = max(squares / count - (total / count) ** 2, 1e-12) ** 0.5

    def views(self) -> Views:
        """Return the two crops, if it compares on crops."""
        has_crops = self.options.view == "crop" and len(self.names) > 1
        if not has_crops:
            return {}
        return {"first": self._mirrored_crop, "second": self._crop}

    def supervised_view(self, batch: Batch, draws: Draws) -> Batch:
        """Return the batch, in other colours if all views are recoloured."""
        recolours = self.options.recolour == "all" and len(self.names) > 1
        return self.recolour(batch, draws) if recolours else batch

    def _mirrored_crop(self, batch: Batch, draws: Draws) -> Batch:
        return self._crop(mirror_some(batch, self.tasks, draws, self.options.flip), draws)

    def _crop(self, batch: Batch, draws: Draws) -> Batch:
        crops = crop_at_random(batch, self.tasks, draws, self.options.zooms)
        return self.recolour(crops, draws)

    def loss(self, step: Step) -> Tensors:
        """Compute the distances and the errors, [b] each; 0 for an image without a label."""
        zero = step.output.final[self.names[0]].new_zeros(len(step.batch.ids), dtype=torch.float32)
        losses = dict.fromkeys(("distance", "codes", "reconstruction"), zero)
        if len(self.names) < 2:
            return losses
        options = self.options
        first = self._stacks(step, "first")
        second = self._stacks(step, "second")
        if first is not None:
            near = distance(*self.encoder.constant(first.maps).chunk(2))
            losses["distance"] = _placed(zero, first, options.weight * near)
        if second is not None:
            codes, raw = self.encoder(second.maps)
            learnt = distance(*codes.chunk(2))
            errors = self._errors(step, half_to_float(raw), second)
            losses["codes"] = _placed(zero, second, options.weight * options.encoder * learnt)
            losses["reconstruction"] = _placed(zero, second, options.reconstruction * errors)
        return losses

    def _stacks(self, step: Step, view: str) -> Stacks | None:
        """Return the stacks of a view, None without any label.

        The stacks of the second view have no graph, and probabilities for predictions of classes.
        """
        batch, output = step.views.get(view, (step.batch, step.output))
        present = targets_present(batch.targets, self.names)
        rows = present.any(1).nonzero()[:, 0]
        if not len(rows):
            return None
        targets = {name: batch.targets[name][rows] for name in self.names}
        masks = []
        for i, name in enumerate(self.names):
            masks.append(targets[name].valid | ~present[rows, i, None, None, None])
        mask = torch.stack(masks).all(0)
        stream = partial(step.draws.by_image, batch.ids_at(rows), "classes", view)
        predicted = []
        wanted = []
        for i, name in enumerate(self.names):
            task = self._scaled(i, step.tasks[name])
            has_label = present[rows, i, None, None, None]
            raw = half_to_float(output.final[name][rows])
            if view == "second" or bool(has_label.all()):
                raw = raw.detach()
            else:  # a prediction of a labelled task has no graph
                raw = torch.where(has_label, raw.detach(), raw)
            raw = resize_output(raw, batch.image_size)
            soft = replace(task, largest=False) if view == "second" else task
            predicted.append(prediction_maps(soft, raw, stream("predicted", name), mask))
            stand_in = prediction_maps(task, raw, stream("wanted", name), mask)
            wanted.append(torch.where(has_label, label_maps(task, targets[name]), stand_in))
        return Stacks(torch.cat([torch.cat(predicted, 1), torch.cat(wanted, 1)]), rows, mask)

    def _scaled(self, column: int, task: Task) -> Task:
        if not task.scale.unbounded or self.options.scale == "maximum":
            return task
        through = partial(
            apply_normal_cdf,
            mean=float(self.means[column]),
            deviation=float(self.deviations[column]),
        )
        neutral = float(through(torch.zeros((), dtype=torch.float64)))
        return replace(task, scale=replace(task.scale, scaled=through, neutral=neutral))

    def _errors(self, step: Step, raw: Tensor, stacks: Stacks) -> Tensor:
        if self.options.errors == "released":
            return self._released_errors(step, raw, stacks)
        mask = stacks.mask.repeat(2, 1, 1, 1)
        split = (torch.split(maps, self.channels, 1) for maps in (raw, stacks.maps))
        parts = zip(self.tasks.values(), *split, strict=True)
        errors = [mean_per_image(task.scale.error(made, maps), mask) for task, made, maps in parts]
        return torch.stack(errors).sum(0).view(2, -1).sum(0)

    def _released_errors(self, step: Step, raw: Tensor, stacks: Stacks) -> Tensor:
        """As `_errors`, of the second view, by the released code's targets and divisors, [r]."""
        batch, output = step.views.get("second", (step.batch, step.output))
        rows = stacks.rows
        ids = batch.ids_at(rows)
        of_predictions, of_labels = (torch.split(x, self.channels, 1) for x in raw.chunk(2))
        encoded = torch.split(stacks.maps.chunk(2)[0], self.channels, 1)
        errors = []
        for i, name in enumerate(self.names):
            task = self._scaled(i, step.tasks[name])
            target = batch.targets[name][rows]
            raw_of_task = half_to_float(output.final[name][rows]).detach()
            free = resize_output(raw_of_task, batch.image_size)
            predicted = encoded[i]
            stand_in = task.activate(free)
            if task.largest:
                stream = partial(step.draws.by_image, ids, "classes", "again")
                predicted = prediction_maps(task, free, stream("predicted", name), stacks.mask)
                stand_in = prediction_maps(task, free, stream("wanted", name), stacks.mask)
            labels = task.as_prediction(target.safe()) * target.valid
            wanted = torch.where(target.present[:, None, None, None], labels, stand_in)
            for made, aim in ((of_predictions[i], predicted), (of_labels[i], wanted)):
                error = task.scale.released_error(made, aim, stacks.mask, task.scale.scaled)
                errors.append(error)
        return torch.stack(errors).sum(0)


def _placed(zero: Tensor, stacks: Stacks, values: Tensor) -> Tensor:
    return zero.to(values.dtype).index_put((stacks.rows,), values)


def build(tasks: Tasks, network: Network, options: Options) -> JointRegularisation:
    """Build the term."""
    return JointRegularisation(tasks, options)
