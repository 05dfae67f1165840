#!/usr/bin/env python3
"""The peak of moerun against --memory, inside memory control groups of exactly that size.

usage: memory_wall.py --moepack BIN --moerun BIN --work DIR [--layers N] [--text FILE]

Writes one layer (or N) of the 397B shape with its 248,320 tokens to DIR, about 4.5 GB, and removes it
afterwards. Runs generate, bench and perplexity at the smallest budget that each accepts and at some
above it. Needs root for the groups. Prints a table; the status is 1 when a run was killed, failed, or
took more than its budget.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

from bench_stream import group_root, run, size

ROOT = pathlib.Path(__file__).resolve().parent.parent


def smallest(arguments):
    """The least --memory that a command accepts, by its own words, in bytes."""
    refused = subprocess.run([*arguments, "--memory", "70MiB"], capture_output=True, text=True)
    found = re.search(r"give at least ([\d.]+) (\wiB)", refused.stderr)
    if not found:
        sys.exit(f"memory_wall: {' '.join(arguments)}: expected a refusal with the budget it takes, "
                 f"found status {refused.returncode}: {refused.stderr.strip()}")
    # The figure is rounded up to a tenth of its unit, so it is enough as it stands.
    return -(-size(found[1] + found[2]) // 4096) * 4096


def mebibytes(count):
    return f"{count / (1 << 20):.1f} MiB"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--moepack", required=True)
    parser.add_argument("--moerun", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--layers", default="1")
    parser.add_argument("--text", default=str(ROOT / "fixtures/golden/tiny-qwen35moe-seedmix/ref.txt"))
    options = parser.parse_args()
    if group_root() is None:
        sys.exit("memory_wall: no memory groups here: run as root, on a system that has them")
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    pack = work / "wall.moepack"
    subprocess.run([options.moepack, "synth", ROOT / "recipes/qwen3.5-397b-a17b.yaml", "-o", pack,
                    "--layers", options.layers, "--overwrite"], check=True)
    commands = [
        ["generate", pack, "-p", "There was once", "-n", "12", "--ignore-eos"],
        ["bench", pack, "--prefill", "64", "--decode", "8"],
        ["perplexity", pack, "-f", options.text, "--context", "64"],
    ]
    passed = True
    print(f"{'command':12}{'--memory':>14}{'process peak':>14}{'group peak':>14}{'left':>12}")
    try:
        for command in commands:
            arguments = [options.moerun, *map(str, command)]
            least = smallest(arguments)
            for budget in (least, least + (64 << 20), least * 3 // 2 // 4096 * 4096):
                out, group, message = run([*arguments, "--json", "--memory", str(budget)], budget)
                if out is None:
                    passed = False
                    print(f"{command[0]:12}{mebibytes(budget):>14}  {message}")
                    continue
                peak = json.loads(out)["memory"]["peak_bytes"]
                passed = passed and peak <= budget
                print(f"{command[0]:12}{mebibytes(budget):>14}{mebibytes(peak):>14}{mebibytes(group):>14}"
                      f"{mebibytes(budget - peak):>12}")
    finally:
        shutil.rmtree(pack, ignore_errors=True)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
