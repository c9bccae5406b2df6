"""Mean teacher in a whole round: every use of the model uses the averaged weights."""

import json
from dataclasses import replace

import numpy as np
import torch

from labelgrid.basics.progress import Silent
from labelgrid.nets.hashes import weights_hash
from labelgrid.project.records import newest_fit
from labelgrid.rounds.models import restore
from labelgrid.train.checkpoint import load
from labelgrid.train.evaluation import evaluate
from labelgrid.train.loop import fit
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trained_model import TrainedModel
from tests.plugins.mean_teacher import MeanTeacher, Options
from tests.rounds import whole_round
from tests.support import make_dataset
from tests.toys import toy_plan, train

NAME = "tests.plugins.mean_teacher:build"


def test_a_killed_training_resumes_and_the_average_is_what_is_scored_and_predicted_with(tmp_path):
    project, _ = whole_round(
        tmp_path, {"terms": {NAME: {"decay": 0.8}}}, step=2, tasks=("semseg", "depth")
    )
    with project:
        done = newest_fit(project.folder)
        kept = load(project.inside(done.checkpoint))
        _, model = restore(project, done)
        held, teacher = model.network.state_dict(), model.terms[NAME].teacher.state_dict()
        assert all(torch.equal(held[name], teacher[name]) for name in held)
        assert weights_hash(held) == weights_hash(kept.evaluated) != weights_hash(kept.network)


def test_the_average_is_the_average_of_the_weights_after_each_step(tmp_path):
    plan = toy(tmp_path)
    seen = []

    class Noting(MeanTeacher):
        def after_step(self, step):
            super().after_step(step)
            seen.append(
                {n: p.detach().clone().double() for n, p in step.network.named_parameters()}
            )

    first = {n: p.detach().clone().double() for n, p in plan.network.named_parameters()}
    checkpoint = load(
        fit(
            replace(plan, terms={"mean": Noting(plan.network, Options(decay=0.7))}),
            tmp_path,
            Silent(),
        )
    )
    for name, value in first.items():
        for weights in seen:
            value = 0.7 * value + 0.3 * weights[name]
        np.testing.assert_allclose(checkpoint.evaluated[name], value, rtol=1e-4, atol=1e-6)


def test_the_val_split_is_measured_with_the_average(tmp_path):
    plan = toy(tmp_path, val_every=1)
    plan = replace(plan, terms={"mean": MeanTeacher(plan.network, Options())})
    kept = load(fit(plan, tmp_path, Silent()))
    logged = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["val"]["loss_mtl"]
    figures = []
    for weights in (kept.evaluated, kept.network):
        plan.network.load_state_dict(weights)
        model = TrainedModel(network=plan.network)
        found = evaluate(
            model,
            plan.tasks,
            definitions=plan.definitions,
            source=plan.source,
            image_ids=plan.val,
            data=plan.data,
            objective=plan.objective,
        )
        figures.append(found.loss_mtl.value)
    assert figures[0] == logged != figures[1]


def test_the_consistency_makes_the_student_less_sensitive_to_noise(tmp_path):
    gaps = {}
    for weight in (0.0, 3.0):
        plan = toy(tmp_path, epochs=8, learning_rate=6e-3)
        term = MeanTeacher(plan.network, Options(weight=weight, noise=0.5))
        train(replace(plan, terms={"mean": term}), tmp_path / str(weight))
        network = plan.network.eval()
        images = torch.randn(8, 3, 32, 64, generator=torch.Generator().manual_seed(0))
        noise = 0.5 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            plain, noisy = network(images).final, network(images + noise).final
        gaps[weight] = sum(float((plain[name] - noisy[name]).square().mean()) for name in plain)
    assert gaps[3.0] < gaps[0.0]


def toy(folder, **options):
    made = make_dataset(folder / "data", n=8, size=(32, 64), tasks=("depth", "normals"))
    chosen = TrainOptions(**{"epochs": 2, "batch": 3, "learning_rate": 1e-3, **options})
    return toy_plan(
        made, chosen, net="shared_heads", train=list(made.names[2:]), val=list(made.names[:2])
    )
