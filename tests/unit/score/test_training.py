"""The training of a statistic's modules: what is kept in memory, and the resume of a stopped one."""

from dataclasses import dataclass
from itertools import chain
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from labelgrid.basics.progress import Silent
from labelgrid.pixel.target import Target
from labelgrid.score import training
from labelgrid.score.training import Rows, Schedule, replay_passes, train


def rows(*values, side=1):
    maps = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, side, side)
    return Rows({"x": maps}, {"t": Target(maps, maps > 0)})


def batches_of(*parts):
    calls = []

    def batches(epoch):
        calls.append(epoch)
        return iter(parts)

    return batches, calls


def same(part):
    return part


def numbers(pass_):
    return [part.maps["x"][:, 0, 0, 0].tolist() for part in pass_]


def test_what_fits_in_memory_is_read_once_and_shuffled_in_each_epoch():
    batches, calls = batches_of(rows(0, 1, 2), rows(3, 4, 5), rows(6))
    passes = replay_passes(batches, same, seed=3)
    epochs = [numbers(passes(epoch)) for epoch in range(8)]
    assert calls == [0]
    assert all(sorted(chain(*epoch)) == list(range(7)) for epoch in epochs)
    assert {tuple(map(len, epoch)) for epoch in epochs} == {(3, 3, 1)} and len(
        {str(epoch) for epoch in epochs}
    ) == 8
    assert numbers(replay_passes(batches, same, seed=3)(5)) == epochs[5]
    (part, *_) = passes(0)
    assert torch.equal(part.targets["t"].valid, part.maps["x"] > 0)


def test_images_of_one_shape_form_full_batches():
    parts = (rows(0, 1, 2), rows(3, 4, 5), rows(6, 7, 8, side=2))
    passes = replay_passes(batches_of(*parts)[0], same, seed=1)
    for epoch in range(4):
        found = list(passes(epoch))
        assert sorted((len(part), part.maps["x"].shape[-1]) for part in found) == [
            (3, 1),
            (3, 1),
            (3, 2),
        ]
        assert sorted(chain(*numbers(found))) == list(range(9))


def test_what_does_not_fit_is_read_in_each_epoch():
    batches, calls = batches_of(rows(0, 1, 2), rows(3))
    size = rows(0, 1, 2).size + rows(3).size
    assert size == 4 * (4 + 4 + 1)
    passes = replay_passes(batches, same, seed=0, memory=size - 1)
    assert [numbers(passes(epoch)) for epoch in (4, 9)] == [[[0, 1, 2], [3]]] * 2
    assert calls == [0, 4, 9]
    replay_passes(batches, same, seed=0, memory=size)(7)
    assert calls == [0, 4, 9, 0]


def test_rows_of_other_sizes_are_in_batches_of_their_own():
    passes = replay_passes(batches_of(rows(0, 1, side=2), rows(2, 3))[0], same, seed=0)
    for epoch in range(5):
        found = list(passes(epoch))
        assert all(len({size[1:] for size in part.shapes}) == 1 for part in found)
        assert sorted(chain(*numbers(found))) == [0, 1, 2, 3]


class Stopped(Silent):
    def __init__(self, left):
        self.left = left

    def advance(self, amount=1, note=""):
        self.left -= amount
        if not self.left:
            raise KeyboardInterrupt


@dataclass
class Training:
    """A linear layer after batch norm; `seen` notes the modes in which batches were trained on."""

    folder: object
    seen: list

    def run(self, left=1000, epochs=5):
        torch.manual_seed(0)
        module = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1))

        def losses(part):
            self.seen.append((len(part), module.training))
            for target in (0.5, -1.0):
                yield (module(part.maps["x"]) - target).square().mean()

        context = SimpleNamespace(folder=self.folder, progress=Stopped(left))
        train(
            "Training",
            module,
            context=context,
            schedule=Schedule(epochs, 0.1),
            passes=lambda epoch: iter([rows(0, epoch), rows(3)]),
            losses=losses,
        )
        return module.state_dict()


def test_a_stopped_training_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    expected = Training(tmp_path, []).run()
    (tmp_path / "last").unlink()
    cut = Training(tmp_path, [])
    with pytest.raises(KeyboardInterrupt):
        cut.run(left=3)
    assert len(cut.seen) == 6
    found = cut.run()
    assert len(cut.seen) == 10  # two epochs are left
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_short_training_writes_nothing_and_a_batch_of_one_uses_the_running_statistics(tmp_path):
    job = Training(tmp_path, [])
    job.run(epochs=2)
    assert job.seen == [(2, True), (1, False)] * 2 and not list(tmp_path.iterdir())


def test_all_parts_of_a_loss_count(tmp_path):
    """The two targets of `Training` have the mean -0.25, which a constant input is mapped to."""
    module = nn.Conv2d(1, 1, 1)

    def losses(part):
        for target in (0.5, -1.0):
            yield (module(part.maps["x"]) - target).square().mean()

    context = SimpleNamespace(folder=tmp_path, progress=Silent())
    train(
        "Training",
        module,
        context=context,
        schedule=Schedule(300, 0.05),
        passes=lambda _: iter([rows(1, 1)]),
        losses=losses,
    )
    assert module(torch.ones(1, 1, 1, 1)).item() == pytest.approx(-0.25, abs=1e-3)


def test_a_part_without_a_label_in_a_batch_is_left_out(tmp_path):
    """As of a committee's block in a batch whose only labels are of a third task."""
    module = nn.Conv2d(1, 1, 1)

    def losses(part):
        yield torch.zeros(())
        yield (module(part.maps["x"]) - 0.5).square().mean()

    context = SimpleNamespace(folder=tmp_path, progress=Silent())
    train(
        "Training",
        module,
        context=context,
        schedule=Schedule(300, 0.05),
        passes=lambda _: iter([rows(1, 1)]),
        losses=losses,
    )
    assert module(torch.ones(1, 1, 1, 1)).item() == pytest.approx(0.5, abs=1e-3)
