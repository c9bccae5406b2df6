"""The relation term: predictions that agree have no loss, what gets gradients, and what is left out."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.lab.scenes.ray_casting import cast
from labelgrid.lab.scenes.rooms import FOV, make_scene
from labelgrid.lab.scenes.write_scenes import TASKS, scene_labels
from labelgrid.relations.bound import bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import definitions
from labelgrid.testing.trainings import OPTIONS
from labelgrid.train.terms import relation
from labelgrid.train.terms.relation import Options
from labelgrid.train.trainer import Trainer
from tests.support import Made
from tests.toys import toy_plan
from tests.unit.train.terms.stepped import (
    Said,
    garbage,
    prepared,
    step_of,
    training_of,
    with_gradients,
)

NORMAL = (0.48, -0.64, 0.6)
#: Half as many rows and a quarter of the columns of the images, 32×64.
HEADS = (16, 16)
WHOLE = Camera.of_view(66.0, (32, 64))
ANGLE = math.radians(20)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return training_of(tmp_path_factory.mktemp("made"), relation, Options())


def plane(distance):
    """The depth of a plane of that normal at the heads' resolution, [1, h, w]."""
    camera = WHOLE.scale(HEADS[1] / 64, HEADS[0] / 32)
    x, y, z = NORMAL
    across = (torch.arange(HEADS[1]) - camera.cx) / camera.fx
    down = (torch.arange(HEADS[0])[:, None] - camera.cy) / camera.fy
    return distance / (z - x * across + y * down)[None]


def agreeing(training, turn=0.0, change=lambda targets: targets):
    """A step whose six predicted planes have their normals, turned around the camera's axis."""
    step = step_of(training, change=change)
    depth = torch.stack([plane(1.0 + i) for i in range(6)])
    x, y, z = NORMAL
    x, y = (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn))
    normals = torch.tensor([x, y, z]).view(1, 3, 1, 1).expand(6, 3, *HEADS) * 2.0
    final = {
        "semseg": step.output.final["semseg"],
        "depth": depth.requires_grad_(),
        "normals": normals.clone().requires_grad_(),
    }
    camera = torch.tensor([[WHOLE.fx, WHOLE.fy, WHOLE.cx, WHOLE.cy]]).repeat(6, 1)
    return replace(
        step, output=replace(step.output, final=final), batch=replace(step.batch, camera=camera)
    )


def term_of(training, trust=0.0, said=None, **options):
    """The prepared term of a recipe with one relation, on if it has some trust."""
    plan = training.plan
    bound = bind("depth_normals", RelationChoice(trust=trust), plan.definitions)
    term = relation.build(plan.tasks, plan.network, Options(**options))
    term.prepare(prepared(plan, said or Said(), relations=[bound]))
    return term


def named(training, **options):
    return term_of(training, relations=("depth_normals",), **options)


def test_predictions_that_agree_at_the_heads_resolution_have_no_loss(training):
    (loss,) = named(training).loss(agreeing(training)).values()
    torch.testing.assert_close(loss, torch.zeros(6), atol=1e-3, rtol=0)


def test_the_loss_is_the_given_tasks_own_in_its_weight(training):
    step = agreeing(training, turn=ANGLE)
    found = named(training, weight=3.0).loss(step)
    assert [*found] == ["depth_normals"]
    turned = step.output.final["normals"][0, :, 0, 0] / 2
    own = (turned - torch.tensor(NORMAL)).abs().mean()
    wanted = (3.0 * 10.0 * own).detach().expand(6)
    torch.testing.assert_close(found["depth_normals"].detach(), wanted, atol=3e-2, rtol=0)


@pytest.mark.parametrize(
    ("learn", "depth", "normals"),
    [("both", True, True), ("gives", False, True), ("reads", True, False)],
)
def test_the_sides_that_are_asked_for_get_gradients(training, learn, depth, normals):
    reached = with_gradients(agreeing(training, turn=ANGLE), named(training, learn=learn))
    assert reached.tolist() == [[False, depth, normals]] * 6


def test_an_image_without_a_camera_has_no_loss_and_spoils_no_other(training):
    step = agreeing(training, turn=ANGLE)
    step.batch.camera[2, 1] = math.nan
    term = named(training)
    wanted = [[False, i != 2, i != 2] for i in range(6)]
    assert with_gradients(step, term).tolist() == wanted
    (loss,) = term.loss(step).values()
    assert loss[2] == 0 and loss.isfinite().all()
    unknown = replace(step, batch=replace(step.batch, camera=None))
    (loss,) = term.loss(unknown).values()
    assert loss.tolist() == [0.0] * 6


def test_only_images_without_a_label_count_if_it_is_asked_for(training):
    step = agreeing(training, turn=ANGLE)
    reached = with_gradients(step, named(training, images="unlabelled"))
    assert reached[:, 2].tolist() == [True, True, False, True, True, False]


def test_depths_that_are_none_and_garbage_behind_masks_leave_it_finite(training):
    step = agreeing(training, turn=ANGLE, change=garbage)
    depth = step.output.final["depth"].detach().clone()
    depth[0] = 0.0
    depth[1, :, 3] = -1.0
    step.output.final["depth"] = depth.requires_grad_()
    (loss,) = named(training).loss(step).values()
    assert loss.isfinite().all() and loss[0] == 0 and (loss[1:] > 0).all()
    (gradient,) = torch.autograd.grad(loss.sum(), depth)
    assert gradient.isfinite().all() and not gradient[0].any() and gradient[1].any()


def test_relations_that_are_on_are_taken_and_one_that_is_off_if_it_is_named(training):
    step = agreeing(training, turn=ANGLE)
    assert [*term_of(training, trust=0.5).loss(step)] == ["depth_normals"]
    assert [*named(training).loss(step)] == ["depth_normals"]
    said = Said()
    assert not term_of(training, said=said).loss(step)
    assert said.lines == [
        "The recipe has no relation that is on and can be differentiated: the term 'relation' "
        "does nothing."
    ]


def test_a_resumed_training_has_the_same_relations(training):
    plan = training.plan
    bound = bind("depth_normals", RelationChoice(trust=0.5), plan.definitions)
    term = relation.build(plan.tasks, plan.network, Options())
    term.resume(prepared(plan, Said(), relations=[bound]))
    assert term.relations == [bound]


def test_a_name_that_is_none_or_that_has_no_gradient_is_refused(training):
    with pytest.raises(RecipeError, match=r"(?s)no relation 'edges'.*can: depth_normals\. Nothing"):
        term_of(training, relations=("edges",))
    plan = training.plan
    blind = replace(
        bind("depth_normals", RelationChoice(), plan.definitions), derive_predicted=None
    )
    term = relation.build(plan.tasks, plan.network, Options(relations=("depth_normals",)))
    with pytest.raises(RecipeError, match=r"(?s)no relation 'depth_normals'.*can: none\."):
        term.prepare(prepared(plan, Said(), relations=[blind]))


def test_a_network_learns_normals_from_its_depth_alone(training):
    step = agreeing(training, turn=ANGLE)
    normals = step.output.final["normals"].detach().clone().requires_grad_()
    step.output.final["normals"] = normals
    term = named(training, learn="gives")
    optimiser = torch.optim.Adam([normals], lr=0.05)
    losses = []
    for _ in range(60):
        (loss,) = term.loss(step).values()
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()
        losses.append(float(loss.detach().sum()))
    assert losses[-1] < 0.2 * losses[0]


def rooms(folder, names):
    """Four rooms with labels of these tasks, and the camera that they are seen through."""
    rows = tuple(row for row in TASKS if row.name in names)
    made = Made(folder, tuple(f"{i}.png" for i in range(4)), rows)
    made.images.mkdir(parents=True)
    (folder / "camera.toml").write_text(f"field_of_view = {FOV}\n")
    for i, name in enumerate(made.names):
        scene = make_scene(0, i)
        labels = scene_labels(scene, cast(scene, (32, 64)))
        picture = (labels["normals"].value * 100 + 128).astype(np.uint8)
        assert cv2.imwrite(str(made.images / name), picture)
        for task in definitions(list(made.rows)).values():
            path = made.label(name, task.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            task.write(path, labels[task.name])
    return made


@pytest.mark.parametrize(
    ("name", "tasks", "options"),
    [
        ("depth_normals", ("depth", "normals"), {}),
        ("semseg_edges", ("semseg", "edges"), {}),
        ("classes_saliency", ("semseg", "saliency"), {"classes": ["wall", "person"]}),
    ],
)
def test_a_training_on_rooms_has_finite_losses_and_weights_and_the_term_takes_part(
    tmp_path, name, tasks, options
):
    made = rooms(tmp_path / "made", tasks)
    train = replace(OPTIONS, epochs=10, batch=4, learning_rate=1e-2)
    choice = RelationChoice(trust=0.5, options=options)
    bound = bind(name, choice, definitions(list(made.rows)))
    term = relation.build({}, None, Options())
    training = Trainer(toy_plan(made, train, terms={"it": term}, relations=[bound]))
    training.prepare(tmp_path / "terms", Silent(), resumed=False)
    found = [training.run_epoch(Silent())["terms"][f"it.{name}"] for _ in range(train.epochs)]
    assert all(map(math.isfinite, found)) and found[-1] > 0.01
    assert all(weights.isfinite().all() for weights in training.network.state_dict().values())
