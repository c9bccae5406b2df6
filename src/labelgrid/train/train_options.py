"""Defines the options of training and of the objective. Loads no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from labelgrid.basics.config import check_ranges
from labelgrid.basics.type_names import Json


@dataclass(frozen=True, kw_only=True)
class ObjectiveOptions:
    """The supervised loss.

    Args:
        reduction: `image_mean`, each image's mean over its labelled tasks (MTPSL eq. 1);
            `image_sum`, its sum over them; or `task_sum`, the sum over tasks of the mean over the
            images that have the label (PartAL, the survey).
        rescale: multiply each image's losses by K/|T|, the number of all tasks over the number of
            labelled tasks, so that images with few labels count as much as others (DiffusionMTL).
            With `image_sum`, which is DiffusionMTL's, this is K times `image_mean`.
        initial: weight of the initial predictions' losses (deep supervision; the survey and PartAL
            use 1).
        weights: fixed task weights; other tasks have the default weight of their kind.
        losses: the pixel losses by task; other tasks have the default loss of their kind.
        pixels: the most pixels of a label that count in a step, on a grid at a drawn place; labels
            with fewer count whole. 0: all.
    """

    reduction: Literal["image_mean", "image_sum", "task_sum"] = "image_mean"
    rescale: bool = False
    initial: float = 1.0
    weights: Mapping[str, float] | None = None
    losses: Mapping[str, str] | None = None
    pixels: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, initial=(0, 10**9), pixels=(0, 10**9))
        for name, weight in (self.weights or {}).items():
            if not 0 <= weight <= 10**9:
                raise ValueError(f"weights.{name} must be from 0 to 1e+09; it is {weight:g}")
        if self.rescale and self.reduction == "image_mean":
            raise ValueError(
                "rescale needs reduction = 'image_sum' or 'task_sum': "
                "image_mean divides by the labels"
            )


#: The strengths of RandAugment's operations: 0 to 30.
LEVELS = 31
#: The options that set the length of a training.
LENGTHS = ("epochs", "steps", "label_visits")
#: Options that change no result: they are about speed and logs.
WITHOUT_EFFECT = frozenset({"workers", "tensorboard", "cache"})
#: Options of further networks, which do not change a round's own.
OF_MEMBERS = frozenset({"member_steps"})
#: Options that choose the code that computes, whose results differ by rounding alone.
HARDWARE = frozenset({"device", "compile"})
#: The options of mixing images, which change nothing if `mix` is "none".
MIXING = ("mix", "mix_share", "mix_tasks")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a network is trained; the defaults are those of PartAL A.4.

    Args:
        epochs: length in passes over the training images.
        steps: length in optimiser steps instead, if above 0.
        label_visits: length in visits to each label instead, on average, if above 0. Batches of
            images see fewer labels where labels spread over more images, so these trainings take
            more steps.
        fill: a step sees `batch` `"images"`, or as many images as have about `batch` × the number
            of tasks `"labels"` in all. Partially labelled images then make larger batches, which
            take more memory.
        batch: images a step; an incomplete last batch is left out, unless it is the only one.
        optimiser: Adam, or AdamW, whose weight decay is decoupled from the gradient.
        learning_rate: the learning rate at the start.
        weight_decay: the weight decay of the optimiser.
        power: exponent of the polynomial decay of the learning rate: (1 - e / E) ** power by
            epochs, or by optimiser steps if the length is given in steps or label visits.
        halve: halve the learning rate after each such share of the training instead, if above 0;
            MTAN and MTPSL: 0.5.
        warmup: share of the training over which the learning rate rises from almost 0, so that
            heads with random weights disturb the pretrained encoder less.
        clip: largest gradient norm; 0 does not clip.
        norm: "batch" normalises with each batch's statistics; "frozen" keeps the encoder's, for
            small batches.
        known: probability with which a labelled cell's label is fed in as known (two-stage
            networks). Terms read these predictions, too; further views get no known labels, except
            `crop`, whose view has the labels of its batch.
        mix: paste a part of another image of the batch into an image, with the labels: half of the
            image, a rectangle (`"cut"`); or the pixels of half of the other's labelled classes
            (`"class"`).
        mix_share: probability with which an image is mixed.
        mix_tasks: the tasks that learn from pasted parts; all if empty. Images without a label of
            them stay whole; other tasks keep their labels outside of the pasted part.
        images: train on the images with a label, or on all images of the train split (terms may
            learn from them).
        labelled_share: the share of each batch's images that have a label, with `images = "all"`;
            a pass then is one over the labelled images. 0: as they come.
        choose: the final model: the last epoch's, or the best epoch's on the val split.
        val_share: share of the labelled training images (whole groups) kept for model selection if
            the project has no val split.
        val_every: epochs between evaluations on the val split; 0 evaluates after the last epoch
            only.
        patience: early stopping: end the training after this many evaluations without a lower
            `loss_mtl` on the val split, if above 0. The other lengths are then upper limits.
        workers: processes that read and augment images ahead; 0: the training process reads.
        precision: the precision of the computations; `"16-mixed"` and `"bf16-mixed"` are for GPUs.
        device: where the network is trained; `"auto"`: a GPU if there is one.
        tensorboard: also write TensorBoard files beside `log.jsonl`.
        cache: GiB on the project's disk that decoded images and labels may take while the network
            is trained, but no more than a quarter of what is free there, read through the memory;
            0: each is decoded in each epoch.
        compile: let torch compile the encoder at the start of a training, which takes a minute or
            more and a C++ compiler, on a GPU Triton. The results differ by rounding.
        restart: start each round from the initial weights; false continues from the previous
            round's weights.
        member_steps: the optimiser steps of a member of an ensemble that continues so; 0: as many
            as the round's network takes.
    """

    epochs: int = 100
    steps: int = 0
    label_visits: float = 0.0
    fill: Literal["images", "labels"] = "images"
    batch: int = 8
    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    power: float = 0.9
    halve: float = 0.0
    warmup: float = 0.0
    clip: float = 0.0
    norm: Literal["batch", "frozen"] = "batch"
    known: float = 0.5
    mix: Literal["none", "cut", "class"] = "none"
    mix_share: float = 0.5
    mix_tasks: tuple[str, ...] = ()
    images: Literal["labelled", "all"] = "labelled"
    labelled_share: float = 0.0
    choose: Literal["last", "best"] = "last"
    val_share: float = 0.0
    val_every: int = 0
    patience: int = 0
    restart: bool = True
    member_steps: int = 0
    workers: int = 0
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    compile: bool = False
    tensorboard: bool = False
    cache: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            epochs=(1, 10**6),
            steps=(0, 10**9),
            label_visits=(0, 10**6),
            batch=(1, 65536),
            learning_rate=(0, 100),
            weight_decay=(0, 100),
            power=(0, 100),
            clip=(0, 10**9),
            val_every=(0, 10**6),
            patience=(0, 10**6),
            workers=(0, 1024),
            cache=(0, 10**6),
            member_steps=(0, 10**9),
            mix_share=(0, 1),
            labelled_share=(0, 1),
        )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0; it is {self.learning_rate}")
        in_range = all(0 <= value <= 1 for value in (self.known, self.warmup, self.halve))
        if not in_range or not 0 <= self.val_share < 1:
            values = f"{self.known}, {self.val_share}, {self.warmup} and {self.halve}"
            raise ValueError(f"known, val_share, warmup and halve are shares; they are {values}")
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.choose == "best" and not self.val_every:
            raise ValueError(
                "choose = 'best' needs val_every above 0, to have epochs to choose from"
            )
        if self.patience and not self.val_every:
            raise ValueError("patience needs val_every above 0, to see whether val improves")
        if self.fill == "labels" and self.images == "all":
            raise ValueError(
                "fill = 'labels' needs images = 'labelled': "
                "images without labels would fill no batch"
            )
        if self.labelled_share and self.images != "all":
            raise ValueError("labelled_share needs images = 'all'")
        if self.steps and self.label_visits:
            raise ValueError("steps and label_visits are both above 0; set one of them to 0")

    def steps_per_pass(self, images: int, labels: int = 0, tasks: int = 1) -> int:
        """Return the number of optimiser steps of one pass over the images.

        It is at least one if there are images. An incomplete last batch of images is dropped;
        batches of labels share all labels among them.
        """
        least = min(images, 1)
        if self.fill == "labels" and labels:
            return max(labels // (self.batch * tasks), least)
        return max(images // self.batch, least)

    def length(self, images: int, labels: int = 0, tasks: int = 1) -> int:
        """Return the number of optimiser steps of a training.

        Args:
            images: the number of its images.
            labels: the number of their labels in all.
            tasks: the number of tasks.

        Example:
            >>> TrainOptions(epochs=10, batch=8).length(100), TrainOptions(steps=500).length(100)
            (120, 500)
            >>> by_label = TrainOptions(label_visits=10, fill="labels", batch=8)
            >>> by_label.length(100, labels=300, tasks=3), by_label.length(300, labels=300, tasks=3)
            (120, 120)
        """
        if self.steps:
            return self.steps
        passes = self.label_visits or self.epochs
        steps = round(passes * self.steps_per_pass(images, labels, tasks))
        return max(steps, min(images, 1))

    def shaping(self) -> Json:
        """Return the options that affect the trained weights.

        The others may differ when a training is resumed.
        """
        options = asdict(self)
        for name in (*WITHOUT_EFFECT, *OF_MEMBERS, *HARDWARE):
            options.pop(name, None)
        if not self.patience:  # val_every then decides no length
            options.pop("val_every", None)
        for name in self.unused():
            options.pop(name, None)
        return options

    def unused(self) -> tuple[str, ...]:
        """The options without any effect, which count for no identity.

        Example:
            >>> TrainOptions(images="all", labelled_share=0.5).unused()
            ('mix', 'mix_share', 'mix_tasks', 'compile', 'member_steps')
        """
        names: tuple[str, ...] = ()
        if self.mix == "none":
            names = MIXING
        if not self.compile:
            names += ("compile",)
        if not self.labelled_share:
            names += ("labelled_share",)
        if not self.member_steps:
            names += ("member_steps",)
        return names
