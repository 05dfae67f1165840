#!/usr/bin/env python3
"""Interrupts moepack in every way and lets it go on; the pack must be that of an undisturbed run.

    campaign.py --moepack BIN --shim SO --work DIR CAMPAIGN...

kills    SIGKILL at 200 random moments of one conversion, each followed by --resume
space    a disk that is full at 100 random points of one conversion (tmpfs; as root)
faults   convert: every write, fsync, rename, ... killed once, before and after, and failed with EIO,
         ENOSPC, EINTR and a short write
stripe   the same of convert --stripe over two directories
repair   the same of repair
consume  the same of convert --consume, and the source exported again

Prints a row of a table a campaign, writes the tables with --report, and ends with status 1 if any pack
was wrong.
"""

import argparse
import os
import platform
import shutil
import sys
import time

import calls
import single
from harness import Harness

ONE = {"kills": single.kills, "space": single.space}
CALLS = {"faults": calls.faults, "stripe": calls.stripe, "repair": calls.repair,
         "consume": calls.consume}

HEADER = """# Interrupted conversions

`make interruptions`: {system}, {processors} processors. Every interrupted run was repeated, with `--resume` where it
converts, and the pack compared byte for byte with that of an undisturbed run. Allowed are 1.1 packs and a layer for each
interruption; a call is a write, flush, rename, reservation, truncation, removal or new directory, each killed
before and after it and failed with EIO, ENOSPC, EINTR and a short write; its megabytes are those
of the run without a fault.

| campaign | runs | faults injected | wrong packs | MB written | MB allowed | |
|---|---|---|---|---|---|---|
"""


def synthetic(layers, experts):
    """Makes a source of the small recipe's shape."""
    recipe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "recipes",
                          "tiny-qwen35moe.yaml")

    def make(harness, path):
        harness.run(["synth", recipe, "-o", path, "--layers", str(layers),
                     "--experts", str(experts), "--vocab", "300"], check=True)
    return make


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("moepack", "shim", "work"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=200, help="random kills; full disks are half")
    parser.add_argument("--every", type=int, default=1, help="faults at every so many calls")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", help="Markdown file for the tables")
    parser.add_argument("campaigns", nargs="+", choices=[*ONE, *CALLS])
    options = parser.parse_args()
    rows, failures = [], []
    for name in options.campaigns:
        begun = time.time()
        source = synthetic(120, 24) if name in ONE else synthetic(3, 4)
        harness = Harness(options, source, name)
        {**ONE, **CALLS}[name](harness)
        rows += harness.rows
        failures += harness.failures
        shutil.rmtree(harness.work)
        print(f"{name}: {time.time() - begun:.0f} s", file=sys.stderr, flush=True)
    if options.report:
        with open(options.report, "w") as file:
            file.write(HEADER.format(
                system=f"{platform.system()} {platform.release()}", processors=os.cpu_count()))
            file.write("".join(row + "\n" for row in rows))
    sys.exit(1 if failures else 0)


main()
