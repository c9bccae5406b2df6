"""Laws every network of `labelgrid.nets` keeps, and every file added there must keep."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from labelgrid.basics import plugins
from labelgrid.nets.network import Features, Network, Output
from labelgrid.nets.networks.pad_net import Options, PadNet
from labelgrid.tasks.task import Task
from labelgrid.testing.networks import LAWS, TASKS, Law, images, made, variants

COVERS = ["labelgrid.testing.networks"]

every = pytest.mark.parametrize(
    "name, options",
    [
        (name, variant)
        for name in plugins.names("networks")
        for variant in variants(plugins.module("networks", name).Options)
    ],
    ids=str,
)


def make(name: str, options: dict[str, object], tasks: Mapping[str, Task] = TASKS) -> Network:
    kind = plugins.module("networks", name).Options
    width = {"width": 16} if any(f.name == "width" for f in dataclasses.fields(kind)) else {}
    return made(plugins.resolve("networks", name), kind(**width, **options), tasks)


@every
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_network_keeps_the_law(law: Law, name: str, options: dict[str, object]) -> None:
    law(partial(make, name, options))


@every
def test_every_option_changes_some_output(name: str, options: dict[str, object]) -> None:
    base = make(name, {})(images())
    if options:
        changed = make(name, options)(images())
        assert any(not torch.equal(base.final[n], changed.final[n]) for n in TASKS)


class Odd(PadNet):
    """Its outputs have different sizes."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(features, known)
        return dataclasses.replace(
            output, final={**output.final, "depth": output.final["depth"][..., 1:]}
        )


class CoarseFirst(PadNet):
    """It has two scales, the coarser one first."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(features, known)
        initial = {n: raw[..., ::2, ::2] for n, raw in output.initial[0].items()}
        heads = {n: x[..., ::2, ::2] for n, x in output.initial_features[0].items()}
        return dataclasses.replace(
            output,
            initial=(initial, *output.initial),
            initial_features=(heads, *output.initial_features),
        )


class AlwaysReplaces(PadNet):
    """It uses known labels where they are not valid."""

    def decode(self, features: Features, known: Any = None) -> Output:
        all_valid = {
            n: dataclasses.replace(t, valid=torch.ones_like(t.valid))
            for n, t in (known or {}).items()
        }
        return super().decode(features, all_valid or None)


class Mixes(PadNet):
    """It uses the first image's labels for all images."""

    def decode(self, features: Features, known: Any = None) -> Output:
        return super().decode(
            features, {n: t[torch.zeros(len(t.value)).long()] for n, t in (known or {}).items()}
        )


class Leaks(PadNet):
    """A known label of depth reaches the output of depth."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(features, known)
        seen = (known or {}).get("depth")
        shift = 0.0 if seen is None else seen.valid.float().mean((1, 2, 3), keepdim=True)
        return dataclasses.replace(
            output, final={**output.final, "depth": output.final["depth"] + shift}
        )


class Ignores(PadNet):
    """It has two stages and ignores known labels."""

    def decode(self, features: Features, known: Any = None) -> Output:
        return super().decode(features, None)


class Bypasses(PadNet):
    """Its messages ignore replaced predictions."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(features, known)
        past = 1e-3 * output.initial[0]["depth"].exp()
        return dataclasses.replace(output, final={n: raw + past for n, raw in output.final.items()})


class Differs(PadNet):
    """`predict` is not what `decode` ends with."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(features, known)
        return dataclasses.replace(output, final={n: raw + 1 for n, raw in output.final.items()})


class NeedsTwo(PadNet):
    """It requires a second task."""

    def __init__(self, tasks: Mapping[str, Task], *others: Any) -> None:
        super().__init__(tasks, *others)
        self.first = sorted(tasks)[1]


class Draws(PadNet):
    """Its dropout mask changes in every pass."""

    def predict(self, task_features: Any) -> Any:
        return super().predict({n: nn.functional.dropout(x, 0.5) for n, x in task_features.items()})


class Whole(Features):
    """Features that ignore indexing."""

    def __getitem__(self, rows: Any) -> "Whole":
        return self


class Sideways(Features):
    """Features that are repeated as a batch, not image by image."""

    def repeat(self, n: int) -> "Sideways":
        return self.each(lambda part: torch.cat([part] * n))


class Averaged(Features):
    """An embedding that mixes the images of a batch."""

    def pooled(self) -> torch.Tensor:
        return super().pooled() + super().pooled().mean(0)


class Encodes(PadNet):
    """An encoder with other features."""

    kind: type[Features] = Features

    def encode(self, image: torch.Tensor) -> Features:
        found = super().encode(image)
        return self.kind(found.shared, found.levels)


class Unindexed(Encodes):
    kind = Whole


class Interleaved(Encodes):
    kind = Sideways


class Embedded(Encodes):
    kind = Averaged


class Outside(PadNet):
    """A part of its encoder is outside the submodule `encoder`."""

    def __init__(self, tasks: Mapping[str, Task], encoder: Any, options: Options) -> None:
        super().__init__(tasks, encoder, options)
        self.late = nn.Conv2d(encoder.channels, encoder.channels, 1)

    def encode(self, image: torch.Tensor) -> Features:
        found = super().encode(image)
        return dataclasses.replace(found, shared=self.late(found.shared))


class Detached(PadNet):
    """Its heads start from a copy of the shared features."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(
            dataclasses.replace(features, shared=features.shared.clone().detach()), known
        )
        return dataclasses.replace(output, features=features)


class Unlearned(PadNet):
    """An initial scale that is not trained."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(features, known)
        return dataclasses.replace(
            output, initial=({n: raw.detach() for n, raw in output.initial[0].items()},)
        )


class Even(PadNet):
    """Its images must have even sides."""

    def encode(self, image: torch.Tensor) -> Features:
        assert image.shape[-1] % 2 == 0
        return super().encode(image)


class Stuck(PadNet):
    """Its final outputs are not trained."""

    def decode(self, features: Features, known: Any = None) -> Output:
        output = super().decode(features, known)
        return dataclasses.replace(
            output, final={n: raw.detach() for n, raw in output.final.items()}
        )


BROKEN = {
    Odd: "outputs_have_the_tasks_channels_at_one_resolution_a_scale",
    CoarseFirst: "outputs_have_the_tasks_channels_at_one_resolution_a_scale",
    AlwaysReplaces: "no_valid_known_label_is_bitwise_no_known_label",
    Mixes: "an_images_labels_leave_the_other_images_untouched",
    Leaks: "a_tasks_own_label_never_reaches_its_own_output",
    Ignores: "a_known_label_changes_the_other_tasks_of_a_two_stage_network",
    Bypasses: "a_fully_known_tasks_initial_head_gets_no_gradient_through_other_outputs",
    Differs: "encode_decode_and_predict_are_the_forward_pass",
    NeedsTwo: "one_task_alone_works",
    Draws: "keyed_dropout_gives_an_image_the_same_masks_in_any_company",
    Unindexed: "features_of_some_images_decode_to_these_images",
    Interleaved: "features_of_some_images_decode_to_these_images",
    Embedded: "an_embedding_is_one_vector_an_image_of_that_image_alone",
    Outside: "the_encoder_is_all_that_encoding_runs",
    Detached: "every_task_starts_from_the_shared_features",
    Even: "one_image_of_odd_sides_and_six_tasks_work",
    Stuck: "it_learns_a_batch_by_heart",
    Unlearned: "every_scale_and_every_weight_learns_from_labels",
}


def wrong(kind: type[PadNet], tasks: Mapping[str, Task]) -> Network:
    return made(
        lambda tasks, encoder, options: kind(tasks, encoder(), options), Options(width=16), tasks
    )


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_network_that_breaks_a_law_is_found(kind: type[PadNet]) -> None:
    (law,) = [law for law in LAWS if law.__name__ == BROKEN[kind]]
    with pytest.raises((AssertionError, RuntimeError, IndexError)):
        law(partial(wrong, kind))


def test_each_law_has_a_network_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(BROKEN.values())
