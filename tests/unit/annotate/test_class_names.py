"""Names of regions are matched with classes by name, and asked about where that is unsure."""

import pytest

from labelgrid.annotate.class_names import ClassNames, NameTarget
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.basics.errors import LabelError
from labelgrid.formats.regions import IGNORED
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import definitions

TASKS = definitions(
    [
        TaskRow("semseg", "semseg", 1.0, {"classes": ["wall", "traffic light", "person"]}),
        TaskRow("parts", "semseg", 1.0, {"classes": ["background", "person", "hand"]}),
        TaskRow("saliency", "saliency", 1.0, {}),
        TaskRow("depth", "depth", 1.0, {}),
    ]
)


def names(**options: object) -> ClassNames:
    return ClassNames(TASKS, ImportOptions(**options))  # type: ignore[arg-type]


def test_names_are_of_the_task_that_knows_all_whatever_their_order_and_capitals() -> None:
    assert names().targets(["Traffic_Light", "wall", "person"]) == {
        "Traffic_Light": NameTarget("semseg", 1),
        "wall": NameTarget("semseg", 0),
        "person": NameTarget("semseg", 2),
    }
    assert names().targets(["saliency"]) == {"saliency": NameTarget("saliency", 0)}


def test_accents_of_one_code_and_of_two_are_the_same() -> None:
    tasks = definitions([TaskRow("semseg", "semseg", 1.0, {"classes": ["t\u00fcr", "wall"]})])
    found = ClassNames(tasks, ImportOptions()).targets(["Tu\u0308r"])
    assert found == {"Tu\u0308r": NameTarget("semseg", 0)}


def test_names_of_several_tasks_are_told_apart_where_each_is_of_one() -> None:
    assert names().targets(["wall", "hand"]) == {
        "wall": NameTarget("semseg", 0),
        "hand": NameTarget("parts", 2),
    }


def test_a_name_that_two_tasks_know_is_asked_about() -> None:
    with pytest.raises(LabelError, match="could be of parts or semseg"):
        names().targets(["person"])
    assert names(task="parts").targets(["person"]) == {"person": NameTarget("parts", 1)}


def test_a_name_is_of_the_task_that_its_region_answers_or_refused() -> None:
    assert names().targets(["person"], "parts") == {"person": NameTarget("parts", 1)}
    with pytest.raises(LabelError, match="'semseg' has no such class"):
        names().targets(["person", "saliency"], "semseg")


def test_a_name_is_known_if_a_task_or_the_map_has_it() -> None:
    known = names(names={"sky": "ignore"})
    assert known.knows("Traffic_Light") and known.knows("sky") and not known.knows("wal")


def test_a_map_renames_and_ignores() -> None:
    found = names(task="semseg", names={"car": "wall", "dog": "ignore"}).targets(["car", "dog"])
    assert found == {"car": NameTarget("semseg", 0), "dog": NameTarget("semseg", IGNORED)}


def test_an_unknown_name_is_refused_with_the_option_that_says_what_it_is() -> None:
    with pytest.raises(LabelError, match="no task has such a class") as refused:
        names().targets(["wal"])
    assert "Did you mean 'wall'?" in str(refused.value)
    assert "--map 'wal=CLASS'" in str(refused.value)


def test_a_kept_meaning_that_is_no_class_any_longer_is_named() -> None:
    kept = "`[names]` of labelgrid.toml says that 'car' means 'vehicle'"
    with pytest.raises(LabelError, match="no task has such a class") as refused:
        names(kept_names={"car": "vehicle"}).targets(["car"])
    assert kept in str(refused.value)
    assert names(kept_names={"car": "vehicle"}, names={"car": "wall"}).knows("car")


@pytest.mark.parametrize(
    "options", [{"task": "depth"}, {"task": "nothing"}, {"names": {"car": "cart"}}, {"rest": "sky"}]
)
def test_options_that_name_no_task_or_class_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(LabelError):
        names(**options)


def test_what_no_region_covers_is_the_class_that_is_named() -> None:
    assert names(rest="background").rest("parts") == 0
    assert names(rest="background").rest("semseg") is None
    assert names().rest("parts") is None


def test_what_was_asked_for_is_kept_with_whether_it_is_known() -> None:
    heard: dict[str, bool] = {}
    asked = ClassNames(TASKS, ImportOptions(names={"bus": "ignore"}), heard)
    with pytest.raises(LabelError):
        asked.targets(["bus", "a class of nobody"])
    assert heard == {"bus": True, "a class of nobody": False}
