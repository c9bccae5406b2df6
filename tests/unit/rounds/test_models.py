"""How a round's modules are built, each from a stream of its own, and restored.

Members of an ensemble.
"""

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn
from typer.testing import CliRunner

from labelgrid.basics.errors import ModelError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.cli import app
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.hashes import weights_hash
from labelgrid.pixel import losses
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.rounds import fit, models, query
from labelgrid.rounds.context import context_of, training_context
from labelgrid.rounds.members import train_member
from labelgrid.rounds.models import new_network, previous_model, restore, restore_model
from labelgrid.select.strategy import Budget
from labelgrid.train.balancer import Balancer
from labelgrid.train.checkpoint import load, save
from labelgrid.train.term import Term
from tests.e2e.killing import preloaded_context
from tests.projects import Said, answer
from tests.rounds import QUICK, Killed, Killing, labelled

COVERS = ["labelgrid.rounds.members", "labelgrid.rounds.models", "labelgrid.rounds.context"]


@dataclass(frozen=True)
class Options:
    width: int = 3


class Random(Term):
    """A term with random weights."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)


class RandomBalancer(Balancer):
    """A balancer with random weights."""

    def __init__(self, reduce):
        super().__init__()
        self.reduce, self.noise = reduce, nn.Parameter(torch.randn(4))

    def backward(self, step):
        total = self.reduce(step.losses, step.present) + step.other + 0 * self.noise.sum()
        step.backward(total)
        return total.detach()


def build(tasks, network, options):
    return Random(options.width)


def build_again(tasks, network, options):
    return Random(options.width)


def build_balancer(weights, reduce, options):
    return RandomBalancer(reduce)


HERE = "tests.unit.rounds.test_models"
CHANGES = {
    "terms": {f"{HERE}:build": {}, f"{HERE}:build_again": {}},
    "balance": {"name": f"{HERE}:build_balancer"},
    "network": QUICK["network"],
    "train": {"epochs": 2},
}


def plan_states(folder, changes):
    with ProjectFolder.open(folder) as project:
        context = context_of(project, changes=changes)
        plan = fit.plan_of(context, new_network(context, Silent()))
        modules = {"network": plan.network, **plan.terms, "balancer": plan.balancer}
        return {name: weights_hash(module.state_dict()) for name, module in modules.items()}


def put_states(folder, changes, queue):
    queue.put(plan_states(folder, changes))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A project with labels and a fitted second round."""
    project, _ = labelled(tmp_path_factory.mktemp("prepared"), images=4)
    with project:
        fit.fit(project, Silent(), changes=CHANGES)
    return project.folder


@pytest.fixture
def project(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "flat")
    with ProjectFolder.open(tmp_path / "flat") as opened:
        yield opened


def test_a_fresh_process_builds_the_bitwise_equal_modules_of_one_that_built_others(prepared):
    context = preloaded_context()
    queue = context.Queue()
    process = context.Process(target=put_states, args=(prepared, CHANGES, queue))
    process.start()
    found = queue.get(timeout=120)
    process.join()
    assert found == plan_states(prepared, CHANGES) and len(found) == 4


def test_each_module_has_a_stream_of_its_own(prepared):
    both = plan_states(prepared, CHANGES)
    assert both[f"{HERE}:build"] != both[f"{HERE}:build_again"]
    alone = plan_states(prepared, {**CHANGES, "terms": {f"{HERE}:build_again": {}}})
    wider = plan_states(
        prepared, {**CHANGES, "terms": {f"{HERE}:build": {"width": 9}, f"{HERE}:build_again": {}}}
    )
    for other in (alone, wider):
        assert all(
            other[name] == both[name] for name in ("network", f"{HERE}:build_again", "balancer")
        )


def test_a_restored_model_has_the_networks_and_the_terms_states(project):
    done = newest_fit(project.folder)
    kept = load(project.inside(done.checkpoint))
    context, model = restore(project, done)
    assert model.digest == done.model == kept.digest and not model.network.training
    assert all(
        torch.equal(kept.network[name], value) for name, value in model.network.state_dict().items()
    )
    assert model.terms.keys() == kept.parts.keys() == CHANGES["terms"].keys()
    for name, term in model.terms.items():
        assert all(
            torch.equal(kept.parts[name][key], value) for key, value in term.state_dict().items()
        )
    assert restore_model(context_of(project), done).digest == model.digest and model.members == ()
    assert context.recipe.terms.keys() == model.terms.keys() and context.seed == done.seed


def test_a_context_as_fitted_may_score_otherwise(project):
    done = newest_fit(project.folder)
    context = training_context(context_of(project), done, {"dropout": {"passes": 3}})
    assert context.recipe.score == {"dropout": {"passes": 3}} and context.recipe.train.epochs == 2
    assert training_context(context, done).recipe.score["dropout"] == {"passes": 4}


def test_a_term_that_is_not_the_one_that_was_trained_is_refused(project):
    done = newest_fit(project.folder)
    path = project.inside(done.checkpoint)
    kept = load(path)
    next(iter(kept.parts[f"{HERE}:build"].values())).add_(1)
    save(kept, path)
    with pytest.raises(ModelError, match="not the one that was recorded after the training"):
        restore(project, done)


def test_the_model_of_the_round_before_is_not_the_rounds_own_nor_one_of_other_tasks(project):
    context = context_of(project)
    assert previous_model(context, 2) is None
    model = previous_model(context, 3)
    assert model is not None and model.digest == newest_fit(project.folder).model
    project.store.add_task(TaskRow("edges", "edges", 5.0))
    assert previous_model(context_of(project), 3) is None


def test_members_are_other_networks_that_are_restored_with_the_model(project):
    done = newest_fit(project.folder)
    context = context_of(project)
    members = [train_member(context, done, name=name, progress=Silent()) for name in ("a", "b")]
    model = restore_model(context, done)
    assert [member.digest for member in model.members] == [member.digest for member in members]
    assert len({model.digest, *(member.digest for member in members)}) == 3
    images = torch.zeros(1, 3, 32, 64)
    with torch.inference_mode():
        assert torch.equal(
            members[0].network(images).final["depth"],
            model.members[0].network(images).final["depth"],
        )
    assert (
        train_member(context, done, name="a", progress=Killing(1)).digest == members[0].digest
    )  # trained already
    assert query.query(project, Budget(3), Silent()).picks


def test_a_killed_member_resumes_to_the_same_network(project, tmp_path):
    done, context = newest_fit(project.folder), context_of(project)
    whole = train_member(context, done, name="a", progress=Silent())
    shutil.rmtree(project.round_folder(2) / "fit" / "members")
    with pytest.raises(Killed):
        train_member(context, done, name="a", progress=Killing(2))
    assert restore_model(context, done).members == ()
    said = Said()
    assert train_member(context, done, name="a", progress=said).digest == whole.digest
    assert said.lines == ["Resuming after epoch 1 of 2."]


def test_a_member_continues_from_its_own_of_the_round_before_where_the_round_does(tmp_path):
    project, made = labelled(tmp_path, images=4)
    with project:
        first = fit.fit(project, Silent(), changes=QUICK)
        old = train_member(context_of(project), first, name="a", progress=Silent())
        query.query(project, Budget(3), Silent(), strategy="random_cells", prelabels=False)
        answer(project, made)
        train = {"restart": False, "epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0}
        changes = {**QUICK, "train": train}
        done, said = fit.fit(project, Silent(), changes=changes), Said()
        found = [
            train_member(context_of(project), done, name=name, progress=said) for name in ("a", "b")
        ]
        assert said.lines == ["Continuing from the weights of member 'a' of the round before."]
        weights = [dict(model.network.named_parameters()) for model in (old, *found)]
        key = "bodies.depth.0.weight"
        torch.testing.assert_close(weights[1][key], weights[0][key], atol=1e-6, rtol=0)
        assert not torch.allclose(weights[2][key], weights[0][key], atol=1e-3)
        start = json.loads(
            load(project.round_folder(3) / "fit" / "members" / "a" / "last.ckpt").identity
        )["start"]
        assert start == old.digest


def test_a_member_that_continues_takes_member_steps_and_the_round_is_as_without(tmp_path):
    project, made = labelled(tmp_path, images=4)
    with project:
        first = fit.fit(project, Silent(), changes=QUICK)
        train_member(context_of(project), first, name="a", progress=Silent())
        query.query(project, Budget(3), Silent(), strategy="random_cells", prelabels=False)
        answer(project, made)
        train = {"restart": False, "steps": 4, "batch": 2}
        plain = fit.fit(project, Silent(), changes={**QUICK, "train": train})
        done = fit.fit(project, Silent(), changes={**QUICK, "train": {**train, "member_steps": 3}})
        assert done.model == plain.model
        for name, steps in (("a", 3), ("b", 4)):
            train_member(context_of(project), done, name=name, progress=Silent())
            path = project.round_folder(3) / "fit" / "members" / name / "last.ckpt"
            assert load(path).step == steps


def test_members_choose_on_the_images_that_the_round_chooses_on(project):
    changes = {**CHANGES, "train": {"epochs": 1, "val_share": 0.5}}
    done = fit.fit(project, Silent(), changes=changes)
    folder = project.round_folder(2) / "fit"
    own = json.loads(load(folder / "last.ckpt").identity)
    for name in ("a", "b", "c"):
        train_member(context_of(project), done, name=name, progress=Silent())
        other = json.loads(load(folder / "members" / name / "last.ckpt").identity)
        assert own["data"] == other["data"] and own["seed"] != other["seed"]


def test_a_model_keeps_the_losses_that_it_was_trained_with(tmp_path):
    project, _ = labelled(tmp_path, images=2)
    done = fit.fit(project, Silent(), changes={"objective": {"losses": {"normals": "cosine"}}})
    assert context_of(project).tasks["normals"].pixel_loss is losses.unit_vector_l1
    assert restore(project, done)[0].tasks["normals"].pixel_loss is losses.unit_vector_cosine
    with pytest.raises(RecipeError, match="'depth', which it does not have"):
        fit.fit(project, Silent(), changes={"objective": {"losses": {"depth": "cosine"}}})


def test_a_training_without_its_weights_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        models,
        "missing_weights_warning",
        lambda backbone, file: "" if file else "The weights are away.",
    )
    project, _ = labelled(tmp_path)
    changes = {"backbone": {"pretrained": True}}
    with pytest.raises(ModelError) as caught:
        fit.fit(project, Silent(), changes=changes)
    assert str(caught.value) == (
        f"The weights are away ({project.folder}).\n  Give a file: `labelgrid fit {project.folder} --weights FILE`, or "
        "`weights` in labelgrid.toml. Or go on without them, from random weights, which need many more labels: "
        f"`labelgrid fit {project.folder} --set backbone.pretrained=false`. "
        "Nothing was trained."
    )
    with pytest.raises(ModelError, match="There is no such weights file"):
        fit.fit(project, Silent(), changes=changes, weights=tmp_path / "nowhere.pt")
    project.close()


def test_weights_that_a_server_does_not_give_are_told_what_trains_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers, but has no such file: only the download says so."""
    create = timm.create_model

    def refuse(name: str, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise ConnectionError("404")
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", refuse)
    monkeypatch.setattr(models, "missing_weights_warning", lambda backbone, file: "")
    project, _ = labelled(tmp_path)
    with project:
        changes = {"backbone": {"pretrained": True}, "train": {"epochs": 1}}
        with pytest.raises(ModelError) as caught:
            fit.fit(project, Silent(), changes=changes)
        line = re.search(r"more labels: `labelgrid (fit [^`]*)`", str(caught.value))
        assert line and "could not be fetched (ConnectionError)" in str(caught.value)
        words = shlex.split(line[1])
        assert words == [
            "fit",
            str(project.folder),
            *("--set", "backbone.pretrained=false", "--set", "train.epochs=1"),
        ]
    assert CliRunner().invoke(app, words).exit_code == 0


def test_before_any_training_the_settings_say_that_a_network_starts_from_random_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "missing_weights_warning", lambda backbone, file: "They are away.")
    project, _ = labelled(tmp_path)
    with project:
        context = context_of(project, changes={"backbone": {"pretrained": True}})
        with pytest.raises(ModelError) as caught:
            models.untrained_model(context, Silent())
        settings = project.folder / "labelgrid.toml"
        assert f"`[changes.backbone]` and `pretrained = false` in {settings}" in str(caught.value)


@pytest.mark.parametrize("network", ["segnet", "mtan"])
def test_a_network_with_an_encoder_of_its_own_takes_no_backbone_and_no_weights(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("missing_weights_warning", "Encoder"):
        monkeypatch.setattr(models, name, lambda *_, **__: pytest.fail("it asked for a backbone"))
    project, _ = labelled(tmp_path, images=2)
    file = tmp_path / "weights.pt"
    changes = {
        "network": {"name": network, "options": {"width": 4}},
        "backbone": {"pretrained": True},
    }
    with project, pytest.raises(ModelError) as caught:
        fit.fit(project, Silent(), changes=changes, weights=file)
    assert str(caught.value).startswith(
        f"The network '{network}' has an encoder of its own and starts from random weights; the backbone weights in "
        f"{file} are not used ({project.folder}).\n  Leave out the weights, or name a network that uses [backbone]"
    )
    settings = project.folder / "labelgrid.toml"
    settings.write_text(settings.read_text().replace('weights = ""', f'weights = "{file}"'))
    with ProjectFolder.open(project.folder) as opened:
        said = Said()
        done = fit.fit(opened, said, changes=changes)
        assert (
            sum(
                line.endswith(f"the backbone weights in {file} are not used.")
                for line in said.lines
            )
            == 1
        )
        assert restore(opened, done)[1].digest == done.model
