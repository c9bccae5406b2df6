from tools.classes import faults

CLASS = "class {}:\n    pass\n"


def test_a_name_of_two_public_classes_is_found(plant):
    root = plant(
        {
            "src/labelgrid/a.py": CLASS.format("Removed"),
            "src/labelgrid/b/c.py": CLASS.format("Removed"),
        }
    )
    assert faults(root) == [
        "src/labelgrid/a.py: the class Removed shares its name with one of src/labelgrid/b/c.py"
    ]


def test_private_classes_and_options_of_plugins_may_share_a_name(plant):
    both = CLASS.format("_Held") + CLASS.format("Options")
    assert faults(plant({"src/labelgrid/a.py": both, "src/labelgrid/b.py": both})) == []
