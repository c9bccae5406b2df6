"""MC-dropout: the numbers of naive passes with the same masks, keyed by image, in bounded memory."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from labelgrid.basics.errors import ModelError
from labelgrid.basics.progress import Silent
from labelgrid.basics.streams import image_key
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import labels_of
from labelgrid.data.frame import Frame, resize_to_original
from labelgrid.data.loader import eval_batches
from labelgrid.nets.keyed_dropout import keyed_dropout
from labelgrid.score import maps as module
from labelgrid.score.maps import halve_frame
from labelgrid.score.pool import ScoringJob, gather, pool_batches
from labelgrid.score.statistics import dropout
from labelgrid.score.statistics.dropout import Dropout, Options
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.trained_model import TrainedModel
from tests.scoring import entropy, information, least_confidence, margin
from tests.support import make_dataset
from tests.toys import source_of, toy_network

COVERS = ["labelgrid.score.maps", "labelgrid.score.measure_choices"]

SIZES = [(32, 64), (60, 40)]
DATA = DataOptions(size=(32, 64))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    made = make_dataset(
        tmp_path_factory.mktemp("data"),
        n=5,
        size=SIZES,
        tasks=("semseg", "depth", "normals", "edges"),
    )
    made.label(made.names[0], "depth").unlink()  # partial labels are fed in as they are
    found = definitions(list(made.rows))
    return made, found, build_all(found)


def work(parts, options, data=DATA, stamp="one", batch=3):
    made, found, tasks = parts
    model = TrainedModel(network=toy_network(tasks))
    stamps = {"model": stamp}
    return ScoringJob(
        model=model,
        tasks=tasks,
        definitions=found,
        source=source_of(made),
        data=data,
        statistics={"dropout": Dropout(options, 7)},
        stamp=stamps,
        batch=batch,
        workers=0,
    )


def table(parts, folder, options, **changes):
    names = changes.pop("names", list(parts[0].names))
    return gather(work(parts, options, **changes), names, folder, Silent())


def slow(parts, options, data=DATA, measure=entropy):
    """Whole forward passes image by image, all samples kept, float64 entropies: PartAL A.1 as written."""
    made, found, tasks = parts
    network, rows = toy_network(tasks).eval(), []
    source = source_of(made)
    known = partial(labels_of, source, found)
    for name in made.names:
        (batch,) = list(eval_batches(source, found, [name], data, batch=1, known_labels=known))
        samples = {task: [] for task in tasks}
        with (
            torch.no_grad(),
            keyed_dropout(network, options.where, np.array([image_key(name)], np.uint64), 7) as use,
        ):
            for index in range(options.passes):
                use(index)
                for task, raw in network(
                    batch.images, batch.targets if options.known else None
                ).final.items():
                    frame = batch.frames[0]
                    size = {"original": frame.original, "half": (16, 32), "head": raw.shape[-2:]}[
                        options.at
                    ]
                    raw = functional.interpolate(
                        raw, size=size, mode="bilinear", align_corners=False
                    )
                    samples[task].append(tasks[task].activate(raw)[0].double().numpy())
        rows.append([measure(tasks[task].kind, np.stack(found)) for task, found in samples.items()])
    return np.array(rows)


@pytest.mark.parametrize("where", ["final", "heads"])
@pytest.mark.parametrize("at", ["original", "half", "head"])
@pytest.mark.parametrize("together", [dropout.TOGETHER, 4 * 8 * 8 * 16, 0])
def test_scores_are_those_of_naive_passes_with_the_same_masks(
    parts, tmp_path, monkeypatch, where, at, together
):
    monkeypatch.setattr(dropout, "TOGETHER", together)
    options = Options(passes=6, where=where, at=at)
    found = table(parts, tmp_path, options).statistics["dropout"]
    np.testing.assert_allclose(found, slow(parts, options), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("measure", "reference"),
    [("information", information), ("least_confidence", least_confidence), ("margin", margin)],
)
@pytest.mark.parametrize("at", ["original", "head"])
def test_without_known_labels_and_with_other_measures_too(parts, tmp_path, at, measure, reference):
    options = Options(passes=6, at=at, measure=measure, known=False)
    found = table(parts, tmp_path, options).statistics["dropout"]
    np.testing.assert_allclose(found, slow(parts, options, measure=reference), rtol=2e-3, atol=1e-5)


def test_strips_of_rows_change_nothing(parts, tmp_path, monkeypatch):
    options = Options(passes=4, at="original")
    whole = table(parts, tmp_path / "a", options).statistics["dropout"]
    monkeypatch.setattr(module, "STRIP", 64 * 4 * 7)
    np.testing.assert_allclose(
        table(parts, tmp_path / "b", options).statistics["dropout"], whole, atol=1e-5
    )


FRAMES = [
    Frame((60, 40), (32, 64), (slice(0, 32), slice(5, 26))),
    Frame((33, 65), (32, 64), (slice(0, 32), slice(0, 64))),
]


@pytest.mark.parametrize("cached", [2**20, 2 * 6 * 60 * 40, 500])
def test_an_image_has_the_same_number_to_the_last_bit_beside_others(parts, monkeypatch, cached):
    """In batches of one frame and of several, where all images, two, or less than one are processed at a time."""
    monkeypatch.setattr(module, "CACHED", cached)
    tasks, rng = parts[2], torch.Generator().manual_seed(0)
    raws = [
        {name: torch.randn(5, task.channels, 9, 17, generator=rng) for name, task in tasks.items()}
        for _ in range(4)
    ]
    for frames in ([FRAMES[0]] * 5, [FRAMES[i] for i in (0, 1, 0, 0, 1)]):
        for at in ("original", "half"):
            together = module.image_means(
                module.Outputs(raws), tasks, frames=frames, make=module.MOMENTS["entropy"], at=at
            )
            for i, frame in enumerate(frames):
                own = module.Outputs(raws).only([i])
                alone = module.image_means(
                    own, tasks, frames=[frame], make=module.MOMENTS["entropy"], at=at
                )
                np.testing.assert_array_equal(together[i : i + 1], alone)


def test_images_of_one_frame_are_processed_at_once(parts):
    tasks, made = parts[2], []

    def counted(task):
        made.append(task.name)
        return task.moments()

    raws = [{name: torch.zeros(5, task.channels, 9, 17) for name, task in tasks.items()}]
    frames = [FRAMES[i] for i in (0, 1, 0, 0, 1)]
    module.image_means(module.Outputs(raws), tasks, frames=frames, make=counted, at="half")
    assert made == [*tasks] * 2


def test_by_default_the_work_does_not_grow_with_the_image(tmp_path, monkeypatch):
    done = {}
    for size in ((60, 40), (600, 400)):
        made = make_dataset(tmp_path / str(size[0]), n=1, size=size, tasks=("semseg", "depth"))
        found, points = definitions(list(made.rows)), []

        def counted(raw, frame, rows, points=points):
            points.append((rows.stop - rows.start) * frame.original[1])
            return resize_to_original(raw, frame, rows)

        monkeypatch.setattr(module, "resize_to_original", counted)
        table((made, found, build_all(found)), tmp_path / f"{size[0]}-scores", Options(passes=2))
        done[size] = points
    assert done[60, 40] == done[600, 400] == [16 * 32] * 4


def test_half_is_half_of_what_shows_the_image_and_never_more_than_the_image():
    padded = Frame((480, 640), (96, 96), (slice(12, 84), slice(0, 96)))
    assert halve_frame(padded) == Frame((36, 48), (96, 96), (slice(12, 84), slice(0, 96)))
    assert halve_frame(Frame((20, 1), (96, 96), (slice(0, 96), slice(45, 46)))).original == (20, 1)


def test_the_pools_order_and_batches_change_no_score(parts, tmp_path):
    options = Options(passes=4, at="head")
    whole = table(parts, tmp_path / "a", options)
    other = table(parts, tmp_path / "b", options, names=list(parts[0].names)[::-1], batch=2)
    assert whole.images == other.images
    # kernels depend on the batch: 5e-5 of a differential entropy was seen
    np.testing.assert_allclose(
        whole.statistics["dropout"], other.statistics["dropout"], rtol=0, atol=1e-4
    )


def test_padding_counts_for_nothing(parts, tmp_path):
    data = DataOptions(size=(32, 64), fit="pad")
    head = table(parts, tmp_path, Options(passes=4, at="head"), data=data).statistics["dropout"]
    full = table(parts, tmp_path / "b", Options(passes=4, at="original"), data=data).statistics[
        "dropout"
    ]
    assert np.isfinite(head).all() and np.corrcoef(head[:, 0], full[:, 0])[0, 1] > 0.9


def test_every_option_changes_the_scores(parts, tmp_path):
    base = table(parts, tmp_path / "base", Options(passes=4)).statistics["dropout"]
    for key, value in {
        "passes": 5,
        "where": "heads",
        "rate": 0.5,
        "at": "head",
        "measure": "information",
        "known": False,
    }.items():
        options = Options(**{"passes": 4, key: value})
        assert not np.allclose(base, table(parts, tmp_path / key, options).statistics["dropout"]), (
            key
        )


def test_a_network_without_dropout_is_refused(parts, tmp_path):
    made, _found, _tasks = parts
    refused = work(parts, Options(where="all"))
    for site in refused.model.network.modules():
        if hasattr(site, "rate"):
            site.rate = 0.0
    with pytest.raises(ModelError, match="has no dropout at 'all'"):
        gather(refused, list(made.names), tmp_path, Silent())


def test_one_look_holds_a_batch_of_the_pool(parts):
    first = next(pool_batches(work(parts, Options()), list(parts[0].names)))
    assert first.batch.ids == parts[0].names[:3] and first.keys.tolist() == [
        image_key(n) for n in parts[0].names[:3]
    ]
    assert not first.batch.targets["depth"].present[0]
