"""What a training's terms get of the recipe's relations, and when these make it another training."""

import pytest

from labelgrid.rounds import fit
from labelgrid.rounds.models import network_of
from tests.projects import Said
from tests.rounds import QUICK, labelled


@pytest.fixture
def project(tmp_path):
    opened, _ = labelled(tmp_path, images=3, n=6, tasks=("depth", "normals"))
    with opened:
        yield opened


def plan_of(project, terms, trust=0.0, radius=2):
    table = {"depth_normals": {"trust": trust, "options": {"radius": radius}}}
    context = fit.context_of(project, changes={**QUICK, "terms": terms, "relations": table})
    network = network_of(context, None, pretrained=False)
    return fit.plan_of(context, network)


TERM = {"relation": {"relations": ["depth_normals"]}}


def test_terms_get_relations_that_are_off_too_and_these_are_part_of_the_training(project):
    plan = plan_of(project, TERM)
    assert [(one.name, one.trust) for one in plan.relations] == [("depth_normals", 0.0)]
    assert not plan.derived
    assert plan.identity != plan_of(project, TERM, radius=3).identity


def test_a_relation_that_is_off_is_no_part_of_a_training_without_terms(project):
    assert plan_of(project, {}).identity == plan_of(project, {}, radius=3).identity


def test_a_fit_with_the_term_says_that_it_does_nothing_without_a_relation(project):
    said = Said()
    fit.fit(project, said, changes={**QUICK, "terms": {"relation": {}}})
    assert any("'relation' does nothing" in line for line in said.lines)
