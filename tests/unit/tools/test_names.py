import pytest

from tools.names import MOST_VAGUE_NAMES, faults, vague_names

KINDS = {
    "src/labelgrid/tasks/task.py": "",
    "src/labelgrid/tasks/kinds/depth.py": "",
    "src/labelgrid/tasks/kinds/semseg.py": "",
}


def test_a_branch_on_a_kind_is_found(plant):
    root = plant(
        {**KINDS, "src/labelgrid/train/loop.py": 'def f(task):\n    return task.kind == "depth"\n'}
    )
    assert faults(root) == [
        "src/labelgrid/train/loop.py:2: the kind 'depth' is named outside tasks/kinds/depth.py"
    ]


@pytest.mark.parametrize(
    "place",
    [
        "data/layouts/nyud.py",
        "formats/codecs/depth.py",
        "relations/derivations/depth_normals.py",
        "recipes/__init__.py",
        "tasks/kinds/depth.py",
    ],
)
def test_readers_relations_recipes_and_the_kind_s_own_file_may_name_it(plant, place):
    assert faults(plant({**KINDS, f"src/labelgrid/{place}": 'NAME = "depth"\n'})) == []


def test_a_kind_s_file_may_not_name_another_kind(plant):
    root = plant({**KINDS, "src/labelgrid/tasks/kinds/semseg.py": 'NAMES = ("semseg", "depth")\n'})
    assert faults(root) == [
        "src/labelgrid/tasks/kinds/semseg.py:1: the kind 'depth' is named outside tasks/kinds/depth.py"
    ]


def test_words_that_only_hold_a_kind_s_name_are_none(plant):
    text = '"""About depth."""\nHELP = "depth of the tree"\n'
    assert faults(plant({**KINDS, "src/labelgrid/cli.py": text})) == []


def test_a_type_vocabulary_is_not_a_kind(plant):
    assert (
        faults(plant({**KINDS, "src/labelgrid/tasks/task.py": 'G = Literal["label", "depth"]\n'}))
        == []
    )


def test_the_folder_s_own_machinery_is_no_kind(plant):
    assert faults(plant({**KINDS, "src/labelgrid/cli.py": 'NAME = "task"\n'})) == []


def test_more_vague_names_of_variables_and_parameters_than_the_limit_are_told(plant):
    path = "src/labelgrid/select/ranks.py"
    at_limit = "".join(f"def f{index}(known):\n    pass\n" for index in range(MOST_VAGUE_NAMES))
    assert faults(plant({**KINDS, path: at_limit})) == []
    (fault,) = faults(plant({path: f"{at_limit}for each in ():\n    pass\n"}))
    assert fault.startswith(f"{MOST_VAGUE_NAMES + 1} variables and parameters are called")


def test_vague_names_are_listed_where_they_are_assigned(plant):
    text = "def f(what, own_rows):\n    found = own_rows.known\n    return {'each': found}\n"
    root = plant({**KINDS, "src/labelgrid/data/files.py": text})
    assert vague_names(root) == [
        "src/labelgrid/data/files.py:1: what",
        "src/labelgrid/data/files.py:2: found",
    ]
