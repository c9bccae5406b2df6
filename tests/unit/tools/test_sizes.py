from tools.sizes import faults


def test_a_module_of_the_package_has_at_most_300_lines(plant):
    root = plant({"src/a.py": "x = 1\n" * 300, "src/b.py": "x = 1\n" * 301})
    assert faults(root) == ["src/b.py: 301 lines, at most 300 are allowed"]


def test_a_test_module_has_at_most_400_lines(plant):
    root = plant({"tests/a.py": "x = 1\n" * 400, "tests/b.py": "x = 1\n" * 401})
    assert faults(root) == ["tests/b.py: 401 lines, at most 400 are allowed"]


def test_a_function_has_at_most_40_lines_without_its_docstring(plant):
    docstring = '    """Words.\n\n    More.\n    """\n'
    fits = "def f():\n" + docstring + "    x = 1\n" * 39
    too_long = "class A:\n    def f(self):\n" + "        x = 1\n" * 40
    root = plant({"src/a.py": fits, "src/b.py": too_long})
    assert faults(root) == ["src/b.py:2: f has 41 lines, at most 40 are allowed"]
