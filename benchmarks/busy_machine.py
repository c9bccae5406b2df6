"""Measures training steps of all cores' threads, alone and beside programs that use the cores, too.

The command line chooses by the load of the machine how long OpenMP's threads spin while they wait
(`processes.limit_spinning`). It is compared with always spinning a tenth as long as OpenMP does by
default, and with the default. Each measurement is a process of its own, in turns, since OpenMP
reads the choice when torch is loaded. All train the same network on the same number of threads.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median

from _measure import check_limit, machine

from labelgrid.basics.processes import given_environment

#: Beside other programs the choice must be so many times as fast as the default; alone, as fast.
BUSY = 1.2
ALONE = 0.9
#: How many other programs use a core each.
PROGRAMS = os.cpu_count() or 1
#: The Python that takes the steps.
PYTHON = sys.executable
STEPS = """
import sys, time
from labelgrid.basics.processes import limit_spinning

limit_spinning()
import torch
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions

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


#: What the sides say of waiting threads; what says nothing leaves the choice to the command line.
SIDES = {
    "chosen": {},
    "a tenth": {"GOMP_SPINCOUNT": "30000"},
    "default": {"GOMP_SPINCOUNT": "300000"},
}


def steps_a_second(said: Mapping[str, str], seconds: float) -> float:
    """The steps of a process whose waiting threads spin as it is said."""
    words = [PYTHON, "-c", STEPS, str(seconds)]
    run = subprocess.run(
        words, env={**given_environment(), **said}, check=True, capture_output=True, text=True
    )
    return float(run.stdout)


def gains(name: str, repeats: int, seconds: float) -> dict[str, float]:
    """How many times as fast the choice is as each other side; the medians over turns of all."""
    ratios: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        rates = {side: steps_a_second(said, seconds) for side, said in SIDES.items()}
        steps = ", ".join(f"{count:.2f} {side}" for side, count in rates.items())
        print(f"{name}, load {os.getloadavg()[0]:.1f}: steps/s {steps}", flush=True)
        for side, count in rates.items():
            ratios[side].append(rates["chosen"] / count)
    return {side: median(values) for side, values in ratios.items()}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--programs", type=int, default=0, help="0: as many as cores")
    options = parser.parse_args(words)
    print(machine())
    alone = gains("alone", options.repeats, options.seconds)
    with competitors(options.programs or PROGRAMS):
        busy = gains("beside other programs", options.repeats, options.seconds)
    for when, ratios in (("alone", alone), ("beside other programs", busy)):
        print(f"chosen / a tenth, {when}: {ratios['a tenth']:.3g} x")
    held = [
        check_limit("chosen / default, beside other programs", busy["default"], BUSY, least=True),
        check_limit("chosen / default, alone", alone["default"], ALONE, least=True),
        check_limit("chosen / a tenth, alone", alone["a tenth"], ALONE, least=True),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
