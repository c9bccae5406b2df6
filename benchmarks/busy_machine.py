"""Measures training steps beside programs that use all cores: waiting threads that sleep soon, or spin.

The command line lets OpenMP's threads sleep soon while they wait (`processes.limit_spinning`); by
default they spin ten times as long. Each measurement is a process of its own, in turns, since OpenMP reads the choice
when torch is loaded. On a machine that nothing else uses, that costs little.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from _measure import check_limit, machine

#: Sleeping must be at least so many times as fast beside other programs, and may cost so much alone.
BUSY = 1.2
ALONE = 0.9
#: How many other programs use a core each.
PROGRAMS = os.cpu_count() or 1
#: The Python that takes the steps.
PYTHON = sys.executable
STEPS = """
import sys, time, torch
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.options import BackboneOptions

options = BackboneOptions(name="mobilenetv2_100", pretrained=False, fused=64)
network = Encoder(options).to(memory_format=torch.channels_last)
images = torch.rand(8, 3, 96, 128).to(memory_format=torch.channels_last)

def step():
    network.zero_grad()
    network(images).shared.mean().backward()

step()
start = time.perf_counter()
done = 0
while time.perf_counter() - start < float(sys.argv[1]):
    step()
    done += 1
print(done / (time.perf_counter() - start))
"""


@contextmanager
def competitors(count: int) -> Iterator[None]:
    """So many programs that use a core each."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def steps_a_second(policy: str, seconds: float) -> float:
    """The steps of a process whose waiting threads follow the policy; "" is the default."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if policy:
        environment["GOMP_SPINCOUNT"] = policy
    words = [PYTHON, "-c", STEPS, str(seconds)]
    run = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    return float(run.stdout)


def gain(name: str, repeats: int, seconds: float) -> float:
    """How many times as fast sleeping is; the median over pairs of runs."""
    ratios = []
    for _ in range(repeats):
        spin = steps_a_second("", seconds)
        sleep = steps_a_second("30000", seconds)
        print(f"{name}: {sleep:.2f} steps/s sleeping, {spin:.2f} spinning")
        ratios.append(sleep / spin)
    return median(ratios)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    options = parser.parse_args(words)
    print(machine())
    alone = gain("alone", options.repeats, options.seconds)
    with competitors(PROGRAMS):
        busy = gain("beside other programs", options.repeats, options.seconds)
    held = [
        check_limit("sleeping over spinning, beside other programs", busy, BUSY, least=True),
        check_limit("sleeping over spinning, alone", alone, ALONE, least=True),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
