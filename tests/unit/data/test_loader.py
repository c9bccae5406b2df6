"""Laws of the loaders: what is drawn depends on seed, epoch and image alone.

Errors arrive as they were raised.
"""

import os
import pickle
import resource
import signal
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from labelgrid.basics.errors import ImageError, LabelError, TrainingError
from labelgrid.data.batch import Batch, SoftLabel
from labelgrid.data.cameras import Cameras, View
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import camera_of
from labelgrid.data.layouts import folder
from labelgrid.data.loader import UnreadableImage, eval_batches, train_batch, train_batches
from labelgrid.tasks.task import definitions
from tests.support import make_dataset

OPTIONS = DataOptions(size=(24, 32), zoom=(1.0, 1.2, 1.5), jitter=0.2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = make_dataset(tmp_path_factory.mktemp("data"), n=10, size=[(30, 40), (40, 30)])
    made.label(made.names[3], "depth").unlink()
    return made


@pytest.fixture
def source(data):
    return folder.build(data.root)


@pytest.fixture
def tasks(data):
    return definitions(data.rows)


def epoch(source, tasks, ids=None, **options) -> list[Batch]:
    options = {"batch": 4, "seed": 0, "epoch": 0, **options}
    return list(train_batches(source, tasks, ids or source.images(), OPTIONS, **options))


def by_image(batches: list[Batch]) -> dict[str, list[torch.Tensor]]:
    found = {}
    for batch in batches:
        for i, name in enumerate(batch.ids):
            targets = [
                part[i]
                for target in batch.targets.values()
                for part in (target.value, target.valid)
            ]
            found[name] = [batch.images[i], *targets]
    return found


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_an_epoch_shows_every_image_once_and_the_last_batch_may_be_small(source, tasks):
    batches = epoch(source, tasks)
    assert [len(batch.ids) for batch in batches] == [4, 4, 2]
    assert sorted(name for batch in batches for name in batch.ids) == list(source.images())
    assert batches[0].frames == ()


def test_workers_change_nothing(source, tasks):
    alone, helped = epoch(source, tasks), epoch(source, tasks, workers=2)
    assert [batch.ids for batch in alone] == [batch.ids for batch in helped]
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.weights, b.weights)
        for name in tasks:
            assert torch.equal(a.targets[name].value, b.targets[name].value)
            assert torch.equal(a.targets[name].valid, b.targets[name].valid)


def test_the_order_of_ids_changes_nothing(source, tasks):
    first = epoch(source, tasks)
    again = epoch(source, tasks, ids=list(reversed(source.images())))
    assert [batch.ids for batch in first] == [batch.ids for batch in again]


def test_an_images_draws_do_not_depend_on_its_company(source, tasks):
    whole = by_image(epoch(source, tasks))
    few = by_image(epoch(source, tasks, ids=source.images()[4:7], batch=2))
    assert all(same(few[name], whole[name]) for name in few)


def test_images_of_one_epoch_are_drawn_apart(tmp_path):
    made = make_dataset(tmp_path, n=1, tasks=())
    for i in range(1, 6):
        (made.images / f"{i:04d}.jpg").write_bytes((made.images / made.names[0]).read_bytes())
    source = folder.build(tmp_path)
    (batch,) = train_batches(source, {}, source.images(), OPTIONS, batch=6, seed=0, epoch=0)
    assert len({tuple(image.flatten().tolist()) for image in batch.images}) == 6


def test_epochs_and_seeds_differ_in_order_and_in_draws(source, tasks):
    first = epoch(source, tasks)
    for options in ({"epoch": 1}, {"seed": 1}):
        other = epoch(source, tasks, **options)
        assert [batch.ids for batch in other] != [batch.ids for batch in first]
        a, b = by_image(first), by_image(other)
        assert sum(same(a[name], b[name]) for name in a) < len(a) / 2


def test_no_global_generator_is_moved(source, tasks):
    torch.manual_seed(0)
    np_state, state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    epoch(source, tasks, workers=1)
    list(eval_batches(source, tasks, source.images()[:2], OPTIONS, batch=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == np_state).all()  # noqa: NPY002


def test_a_missing_label_is_a_mask(source, tasks, data):
    for batch in epoch(source, tasks):
        for i, name in enumerate(batch.ids):
            assert bool(batch.targets["depth"].present[i]) == (name != data.names[3])
            assert batch.targets["semseg"].present[i]


@pytest.mark.parametrize("fit", ["resize", "pad", "crop"])
def test_evaluation_keeps_the_order_and_every_batch_has_one_size(source, tasks, fit):
    names = [source.images()[i] for i in (8, 1, 0, 3, 5, 2, 4)]  # even ones are wide, odd ones tall
    batches = list(eval_batches(source, tasks, names, DataOptions(size=(24, 32), fit=fit), batch=3))
    assert [name for batch in batches for name in batch.ids] == names
    assert all(batch.targets == {} for batch in batches)
    for batch in batches:
        for name, frame in zip(batch.ids, batch.frames, strict=True):
            assert frame.original == source.image(name).shape[:2]
            assert frame.input == tuple(batch.images.shape[-2:])
    assert [len(batch.ids) for batch in batches] == (
        [1, 1, 1, 2, 1, 1] if fit == "crop" else [3, 3, 1]
    )


def test_known_labels_become_targets_and_no_other_label_is_read(source, tasks, data):
    class Blind(type(source)):
        def label(self, image_id, task):
            raise AssertionError("a label was read")

    blind = Blind(root=source.root, names=source.names, whole=source.whole)
    depth = {name: source.label(name, tasks["depth"]) for name in data.names[:2]}
    known = {name: {"depth": label} for name, label in depth.items()}
    (batch,) = eval_batches(
        blind,
        tasks,
        data.names[:3],
        OPTIONS,
        batch=4,
        known_labels=lambda name: known.get(name, {}),
    )
    assert batch.targets["depth"].present.tolist() == [True, True, False]
    assert not batch.targets["semseg"].present.any()


def test_batches_carry_the_cameras_of_their_images_and_nothing_else_changes(source, tasks):
    names = list(source.images())[:3]
    cameras = Cameras(View(field_of_view=60.0))
    seen = folder.FolderDataset(
        root=source.root, names=source.names, whole=source.whole, cameras=cameras
    )
    (plain,) = epoch(source, tasks, names)
    (batch,) = epoch(seen, tasks, names)
    assert plain.camera is None and (batch.images == plain.images).all()
    assert batch.camera.shape == (3, 4) and len(batch.camera.unique(dim=0)) == 3
    options = DataOptions(size=(24, 32))
    (whole,) = eval_batches(seen, tasks, names[:1], options, batch=1)
    camera = camera_of(seen, names[0], (30, 40)).scale(0.8, 0.8)
    assert whole.camera[0].tolist() == pytest.approx([*vars(camera).values()])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_arrives_as_the_error_that_names_it(tmp_path, workers):
    made = make_dataset(tmp_path, n=3, tasks=("depth",))
    source, tasks = folder.build(made.root), definitions(made.rows)
    (made.images / made.names[1]).write_bytes(b"not an image")
    with pytest.raises(ImageError, match=made.names[1]) as error:
        epoch(source, tasks, workers=workers)
    assert error.value.next_step.startswith("Copy it again")
    made.label(made.names[0], "depth").write_bytes(b"")
    with pytest.raises(LabelError, match="0 bytes"):
        epoch(source, tasks, ids=made.names[:1], workers=workers)


def test_a_label_of_another_size_than_its_image_is_refused(tmp_path):
    made = make_dataset(tmp_path / "a", n=1, size=(30, 40))
    other = make_dataset(tmp_path / "b", n=1, size=(15, 20))
    made.label("0000.jpg", "depth").write_bytes(other.label("0000.jpg", "depth").read_bytes())
    with pytest.raises(
        LabelError,
        match=r"The depth label is 15x20, its image is 30x40 \(height x width\) \(0000\.jpg\)",
    ):
        epoch(folder.build(made.root), definitions(made.rows))


def test_what_workers_get_can_be_pickled(source, tasks):
    from labelgrid.data.loader import _chunks, _Parts, _TrainReader

    parts = _Parts(
        _chunks(
            _TrainReader(source=source, tasks=tasks, options=OPTIONS, seed=0, epoch=0),
            list(source.images()),
            4,
        )
    )
    (batch,) = pickle.loads(pickle.dumps(parts))[0]  # noqa: S301 - our own bytes
    assert torch.equal(batch.images, parts[0][0].images)


@pytest.mark.timeout(60)
def test_workers_begin_although_the_parents_opencv_has_threads_asleep(source, tasks):
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        cv2.resize(np.zeros((240, 320, 3), np.float32), (1281, 963), interpolation=cv2.INTER_CUBIC)
        time.sleep(0.5)  # they wait for work for a while before they sleep
        assert len(epoch(source, tasks, workers=1)) == 3
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def test_a_pass_may_be_split_into_other_batches(source, tasks):
    batches = epoch(source, tasks, split=lambda ids: [ids[:1], ids[1:]], passes=2)
    assert [len(batch.ids) for batch in batches] == [1, 9, 1, 9]


def test_nothing_to_load_is_no_batch(source, tasks):
    assert epoch(source, tasks, ids=["x"], split=lambda ids: []) == []
    assert list(eval_batches(source, tasks, [], OPTIONS, batch=2, workers=2)) == []


def soft_depth(source, size=None):
    """What reads, as soft labels, the depth labels of all images but the first."""

    def read(image, task):
        label = (
            source.label(image, task)
            if task.name == "depth" and image != source.images()[0]
            else None
        )
        return label and SoftLabel(label, np.full(size or label.size, 0.5, np.float32))

    return read


def test_soft_labels_arrive_by_term_and_task_and_change_nothing_else(source, tasks):
    plain, found = (
        epoch(source, tasks),
        epoch(source, tasks, soft={"a": soft_depth(source), "b": lambda *_, **__: None}),
    )
    first = source.images()[0]
    for batch, other in zip(found, plain, strict=True):
        assert (
            batch.ids == other.ids and torch.equal(batch.images, other.images) and other.soft == {}
        )
        assert all(torch.equal(batch.targets[n].value, other.targets[n].value) for n in tasks)
        assert batch.soft.keys() == {"a", "b"} and batch.soft["a"].keys() == tasks.keys()
        soft, target = batch.soft["a"]["depth"], batch.targets["depth"]
        there = torch.tensor([name != first for name in batch.ids]).view(-1, 1, 1, 1)
        assert torch.equal(soft.target.valid, target.valid & there)
        assert torch.equal(soft.confidence, 0.5 * soft.target.valid)
        assert (
            not batch.soft["a"]["normals"].target.valid.any()
            and not batch.soft["b"]["depth"].confidence.any()
        )
        moved = batch.to("meta").soft["a"]["depth"]
        assert moved.confidence.is_meta and moved.target.value.is_meta


def test_a_batch_of_ones_own_choice_depends_on_its_seed_and_each_image_alone(source, tasks):
    ids = list(source.images()[:3])
    one, again, alone = (
        train_batch(source, tasks, i, OPTIONS, seed=4, soft={}) for i in (ids, ids, ids[1:2])
    )
    other = train_batch(source, tasks, ids, OPTIONS, seed=5, soft={})
    assert one.ids == tuple(ids) and torch.equal(one.images, again.images)
    assert torch.equal(one.images[1:2], alone.images) and not torch.equal(one.images, other.images)


def test_a_soft_label_of_another_size_than_its_image_is_refused(source, tasks, data):
    class Turned:
        def __call__(self, image, task):
            label = source.label(data.names[1], task)
            return SoftLabel(label, np.ones(label.size, np.float32))

    with pytest.raises(LabelError, match=r"The a/semseg label is 40x30, its image is 30x40"):
        train_batch(source, tasks, data.names[:1], OPTIONS, seed=0, soft={"a": Turned()})


class Dying:
    """A source whose worker dies as it does if /dev/shm is full."""

    def image(self, image_id):
        os.kill(os.getpid(), signal.SIGBUS)

    def label(self, image_id, task):
        return None


class Mute(Dying):
    """A source whose worker lives, and has no descriptor left to hand over what it has read."""

    def image(self, image_id):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        return np.zeros((32, 64, 3), np.uint8)


@pytest.mark.timeout(60)
def test_a_worker_that_lives_and_cannot_deliver_is_not_waited_for():
    with pytest.raises(TrainingError, match=r"stopped: DataLoader worker"):
        list(eval_batches(Mute(), {}, ["a", "b"], DataOptions(), batch=1, workers=1))


def test_a_worker_that_dies_is_a_sentence_with_the_remedy():
    with pytest.raises(TrainingError, match=r"stopped: DataLoader worker(.|\n)*`workers = 0`"):
        list(eval_batches(Dying(), {}, ["a", "b"], DataOptions(), batch=1, workers=1))


class Damaged:
    """A source that cannot read one of its images."""

    def __init__(self, source, bad):
        self.source, self.bad = source, bad

    def image(self, image_id):
        if image_id == self.bad:
            raise ImageError("It is cut off.")
        return self.source.image(image_id)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_leaves_the_others_in_their_batches(source, workers):
    names = [source.images()[i] for i in (0, 2, 4, 6, 8)]
    damaged, options = Damaged(source, names[1]), DataOptions(size=(24, 32))
    told = []
    batches = list(
        eval_batches(damaged, {}, names, options, batch=2, workers=workers, on_fault=told.append)
    )
    assert told == [UnreadableImage(names[1], "It is cut off.")]
    assert [batch.ids for batch in batches] == [(names[0],), tuple(names[2:4]), (names[4],)]
    with pytest.raises(ImageError, match="It is cut off"):
        list(eval_batches(damaged, {}, names, options, batch=2, workers=workers))


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_kept_views_are_the_same_in_every_epoch_and_under_every_seed(source, tasks, fit):
    options = replace(OPTIONS, fit=fit, rotate=10.0, kept_views=5)

    def seen(seed):
        found = {}
        batches = train_batches(
            source, tasks, source.images(), options, batch=4, seed=seed, epoch=0, epochs=40
        )
        for batch in batches:
            for row, image_id in enumerate(batch.ids):
                views = found.setdefault(image_id, {})
                depth = batch.targets["depth"].value[row]
                views.setdefault(batch.images[row].numpy().tobytes(), set()).add(
                    depth.numpy().tobytes()
                )
        return found

    first = seen(seed=1)
    assert {len(views) for views in first.values()} == {5}
    assert all(len(labels) == 1 for views in first.values() for labels in views.values())
    assert seen(seed=2) == first


def test_the_first_kept_views_are_those_of_evaluation_and_their_mirror_images(source, tasks):
    options = replace(OPTIONS, kept_views=2)
    found = {image_id: set() for image_id in source.images()}
    for batch in train_batches(
        source, tasks, source.images(), options, batch=4, seed=1, epoch=0, epochs=20
    ):
        for row, image_id in enumerate(batch.ids):
            found[image_id].add(batch.images[row].numpy().tobytes())
    for batch in eval_batches(source, {}, source.images(), options, batch=1):
        views = {batch.images[0].numpy().tobytes(), batch.images[0].flip(-1).numpy().tobytes()}
        assert found[batch.ids[0]] == views


def test_without_flips_no_kept_view_is_mirrored(source, tasks):
    options = DataOptions(size=(24, 32), flip=0.0, kept_views=3)
    plain = {}
    for batch in eval_batches(source, {}, source.images(), options, batch=1):
        plain[batch.ids[0]] = batch.images[0]
    for batch in train_batches(
        source, tasks, source.images(), options, batch=4, seed=1, epoch=0, epochs=8
    ):
        for row, image_id in enumerate(batch.ids):
            assert torch.equal(batch.images[row], plain[image_id])
