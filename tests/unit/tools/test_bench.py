from tools.bench import benchmarks, main


def test_every_benchmark_runs_even_after_one_failed(plant, capfd):
    root = plant(
        {
            "benchmarks/a.py": "raise SystemExit(1)",
            "benchmarks/b.py": "print('1.1 ×')",
            "benchmarks/_c.py": "",
        }
    )
    assert list(benchmarks(root)) == ["a", "b"]
    assert main(root, []) == 1
    assert capfd.readouterr().out == "== a\n== b\n1.1 ×\nFailed: a.\n"


def test_one_benchmark_runs_by_name(plant, capfd):
    root = plant({"benchmarks/a.py": "raise SystemExit(1)", "benchmarks/b.py": "print('1.1 ×')"})
    assert main(root, ["b"]) == 0
    assert capfd.readouterr().out == "== b\n1.1 ×\n"


def test_a_benchmark_that_does_not_exist_is_wrong_usage(plant, capsys):
    assert main(plant({"benchmarks/a.py": ""}), ["z"]) == 2
    assert capsys.readouterr().err == "There is no benchmark z; there are: a.\n"
