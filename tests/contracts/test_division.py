"""Several processes that divide each batch train as one does, or refuse what they cannot divide.

Every network, term and balancer is held to it: those of the package, and every file added there.
"""

import pytest
import torch

from tests.divided import Trained, difference, discovered, needed, run

#: All of it is done before the first test; a busy machine takes its time.
pytestmark = pytest.mark.timeout(900)

#: Of the largest gradient of the parameter.
EQUAL = 1e-6


def cases():
    """One of each network, term and balancer; benchmarks/several_processes.py has all combinations."""
    few = [case for case in needed() if not case.term]
    return {case.label: case for case in (*discovered(), *few)}


NEEDED = {case.label for case in needed()}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run(list(cases().values()), tmp_path_factory.mktemp("divided"))


@pytest.mark.parametrize("label", cases())
def test_the_gradients_are_those_of_one_process_or_it_is_refused_with_the_reason(found, label):
    row = found[label]
    if "absent" in row:
        pytest.skip(row["absent"])
    if "refused" in row:
        assert label not in NEEDED
        assert "cannot be trained by several processes: " in row["refused"]
        return
    assert row["gradients"] <= EQUAL
    assert row["log"] <= EQUAL


def test_a_gradient_in_one_of_both_alone_is_a_difference():
    one = torch.ones(2)
    whole = Trained([{"a": one, "b": None}], [])
    assert difference(whole, whole) == 0
    assert difference(Trained([{"a": one, "b": one}], []), whole) == float("inf")
    assert difference(Trained([{"a": 1.5 * one, "b": None}], []), whole) == 0.5
