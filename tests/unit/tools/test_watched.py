import re
import time

from tools import watched


def test_output_and_errors_are_passed_on_in_their_order(capsys):
    code = "import sys; print('one'); print('two', file=sys.stderr); print('three')"
    assert watched.run(["-c", code]) == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_the_exit_status_is_that_of_the_command():
    assert watched.run(["-c", "raise SystemExit(3)"]) == 3


def test_a_command_that_prints_nothing_is_said_to_be_at_work(capsys):
    assert watched.run(["-c", "import time; time.sleep(1)"], quiet=0.2) == 0
    assert re.search(r"^\.\.\. still at work, for \d+ s$", capsys.readouterr().out, re.MULTILINE)


def test_a_command_that_takes_too_long_is_stopped_as_by_ctrl_c(capsys):
    code = """
import time
try:
    print("begun")
    time.sleep(600)
except KeyboardInterrupt:
    raise SystemExit(130)
"""
    began = time.monotonic()
    assert watched.run(["-c", code], limit=0.1, quiet=0.2) == watched.STOPPED
    assert time.monotonic() - began < 300
    assert "begun\n" in capsys.readouterr().out
