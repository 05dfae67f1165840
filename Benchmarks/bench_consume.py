#!/usr/bin/env python3
"""convert --consume on a large file, killed and resumed, with the disk watched.

Writes a synthetic model of the 397B shape (4 layers, 11 GB) into --work, converts it with --consume, kills
that without warning when a share of the pack is there, goes on with --resume, and exports the pack. Every
10 ms the blocks that source and pack hold together are counted. Fails when the export differs from the
source as it was, or when source and pack together held more than the source and 1.5 layers.
"""

import argparse
import os
import shutil
import signal
import subprocess
import threading
import time


def allocated(path):
    """Bytes on the disk of a file or a directory; files may come and go."""
    total = 0
    names = [path]
    for root, _, files in os.walk(path):
        names += [os.path.join(root, name) for name in files]
    for name in names:
        try:
            total += os.stat(name, follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def digest(path):
    return subprocess.run(
        ["xxhsum", "-H2", path], check=True, capture_output=True, text=True).stdout.split()[0]


class Watch(threading.Thread):
    """Counts the blocks until it is told to stop."""

    def __init__(self, source, pack):
        super().__init__(daemon=True)
        self.source, self.pack = source, pack
        self.packed = self.peak = self.looks = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.01):
            # The source first: what moves between the two counts is counted twice, never missed.
            left = allocated(self.source)
            self.packed = allocated(self.pack)
            self.peak = max(self.peak, left + self.packed)
            self.looks += 1


def convert(command, watch, limit):
    """Runs the command, killed once the pack holds `limit` bytes; seconds and whether it was killed."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if limit is not None and watch.packed >= limit:
            process.send_signal(signal.SIGKILL)
            process.wait()
            break
        time.sleep(0.01)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}")
    return time.monotonic() - start, process.returncode != 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moepack", required=True, help="the built tool")
    parser.add_argument("--work", required=True, help="directory on the disk to watch")
    parser.add_argument("--recipe", default="recipes/qwen3.5-397b-a17b.yaml")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--results", default="recipes/results")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    source = os.path.join(options.work, "consumed.gguf")
    pack = os.path.join(options.work, "consumed.moepack")
    export = os.path.join(options.work, "exported.gguf")
    for leftover in (source, export):
        if os.path.exists(leftover):
            os.remove(leftover)
    shutil.rmtree(pack, ignore_errors=True)
    subprocess.run(
        [options.moepack, "synth", options.recipe, "-o", source, "--layers", "4", "--vocab", "8192"],
        check=True)
    before, size = digest(source), os.path.getsize(source)

    watch = Watch(source, pack)
    watch.start()
    command = [options.moepack, "convert", source, "-o", pack, "--consume", "--yes"]
    runs = []
    for kill in range(options.kills + 1):
        limit = size * (kill + 1) // (options.kills + 1) if kill < options.kills else None
        runs.append(convert(command + (["--resume"] if kill else []), watch, limit))
    watch.ended.set()
    watch.join()
    left, packed = allocated(source), allocated(pack)
    layer = max(
        os.path.getsize(os.path.join(pack, name)) for name in os.listdir(pack)
        if name.endswith(".experts"))
    subprocess.run([options.moepack, "verify", pack], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([options.moepack, "export", pack, "-o", export], check=True, stdout=subprocess.DEVNULL)
    after = digest(export)
    extra = (watch.peak - size) / layer
    for name in (source, export):
        os.remove(name)
    shutil.rmtree(pack)

    killed = sum(was_killed for _, was_killed in runs)
    text = "\n".join([
        "# Turning a file into its pack", "",
        f"`make bench-consume`: a synthetic file of {size / 1e9:.2f} GB (Qwen3.5-397B-A17B, 4 layers of "
        f"{layer / 1e9:.2f} GB), `convert --consume`, killed {killed} times and resumed. Blocks of source "
        f"and pack were counted {watch.looks} times.", "",
        "| | |", "|---|---|",
        f"| seconds of the runs | {', '.join(f'{seconds:.1f}' for seconds, _ in runs)} |",
        f"| source and pack at most | {watch.peak / 1e9:.2f} GB: the source and {extra:.2f} layers |",
        f"| asked | the source and 1.5 layers |",
        f"| afterwards | source {left / 1e6:.1f} MB, pack {packed / 1e9:.2f} GB |",
        f"| `verify` | whole |",
        f"| XXH3-128 of the source, and of the export | {before}, {after} |", ""])
    print(text)
    if after != before or extra > 1.5 or killed != options.kills:
        raise SystemExit("bench_consume: the export differs, the peak is too high, or no run was killed")
    with open(os.path.join(options.results, "consume.md"), "w") as file:
        file.write(text)


main()
