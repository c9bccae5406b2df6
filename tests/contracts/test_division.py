"""Several processes that divide each batch train as one does, or refuse what they cannot divide.

Every network, term and balancer is held to it: those of the package, and every file added there.
"""

import pytest

from tests.divided import discovered, needed, run

COVERS = [
    "labelgrid.train.batch_losses",
    "labelgrid.train.division",
]

#: Relative to the largest gradient of the parameter, in single precision.
EQUAL = 1e-5
ALL = list(dict.fromkeys(case.label for case in (*discovered(), *needed())))
NEEDED = {case.label for case in needed()}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    cases = {case.label: case for case in (*discovered(), *needed())}
    return run(list(cases.values()), tmp_path_factory.mktemp("divided"))


@pytest.mark.parametrize("label", ALL)
def test_the_gradients_are_those_of_one_process_or_it_is_refused_with_the_reason(found, label):
    row = found[label]
    if "absent" in row:
        pytest.skip(row["absent"])
    if "refused" in row and label not in NEEDED:
        assert "cannot be trained by several processes: " in row["refused"]
        return
    assert row["gradients"] <= EQUAL, row
    assert row["log"] <= EQUAL, row
