import pytest

from tools.density import counts, faults, table

RECORD = "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Row:\n"


def place(line: int = 1) -> str:
    return f"src/labelgrid/a.py:{line}: "


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("a, b = 1, 2\n", "assigns unrelated values on one line; write one line each"),
        ("a, b, c = f(), g(), 3\n", "assigns unrelated values on one line; write one line each"),
        ("x = [[y for y in z] for z in w]\n", "a comprehension inside another"),
        ("x = {k: sum(v for v in vs) for k, vs in w}\n", "a comprehension inside another"),
        ("from labelgrid.b import f\nf(1, 2, 3, 4, 5)\n", "more than 4 arguments by position"),
        ("def f(a): ...\n\n\nf(1, 2, 3, 4, 5)\n", "more than 4 arguments by position"),
    ],
)
def test_packed_code_is_found(plant, code, fault):
    (found,) = faults(plant({"src/labelgrid/a.py": code}))
    line = code.count("\n", 0, code.rindex("f(1")) + 1 if "f(1" in code else 1
    assert found.startswith(place(line) + fault)


def test_a_record_of_five_fields_is_built_by_keyword(plant):
    fields = "".join(f"    {name}: int\n" for name in "abcde")
    assert faults(plant({"src/labelgrid/a.py": RECORD + fields})) == [
        place(5) + "Row has more than 4 fields; make it kw_only"
    ]
    keyword = RECORD.replace("frozen=True", "frozen=True, kw_only=True")
    assert faults(plant({"src/labelgrid/a.py": keyword + fields})) == []
    few = "".join(f"    {name}: int\n" for name in "abcd")
    assert faults(plant({"src/labelgrid/a.py": RECORD + few})) == []


@pytest.mark.parametrize(
    "code",
    [
        "a, b = b, a\n",
        "a, b = f()\n",
        "a, b = c\n",
        "x = [y for y in z]\n",
        "f(*rows, 1, 2, 3, 4)\n",
        "f(1, 2, 3, 4, e=5)\n",
        "import torch\n\nx = torch.arange(1, 2, 3, 4, 5)\n",
        "x = y.view(1, 2, 3, 4, 5)\n",
    ],
)
def test_swaps_unpacking_plain_comprehensions_and_other_people_s_calls_are_fine(plant, code):
    assert faults(plant({"src/labelgrid/a.py": code})) == []


def test_a_table_shows_how_dense_each_package_is(plant):
    packed = '"""Doc."""\n# Comment.\na, b = 1, 2\nx = [y for y in z]\ny = 1 if a else 2\n'
    root = plant({"src/labelgrid/nets/a.py": packed, "src/labelgrid/b.py": "x = 1\n"})
    rows = table(counts(root)).splitlines()
    assert rows[0].startswith(
        "| package | modules | lines of code | nodes | imports, % | packed, % |"
    )
    assert rows[2:] == [
        "| (root) | 1 | 1 | 5 | 0 | 0.0 | 0 | 0 | 0 |",
        "| nets | 1 | 3 | 33 | 0 | 33.3 | 333 | 333 | 0 |",
        "| all | 2 | 4 | 38 | 0 | 25.0 | 250 | 250 | 0 |",
    ]
