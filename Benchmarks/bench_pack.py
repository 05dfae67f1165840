#!/usr/bin/env python3
"""convert beside cp + xxhsum, and verify beside a direct read by fio, in turn on one disk.

Writes a synthetic model of the 397B shape (4 layers, 11 GB) into --work unless --source names one. Every
round runs, each with the page cache empty of the files concerned:

  convert  moepack convert, to the end with everything flushed
  cp       cp of the source, flushed, then xxhsum -H2 of the copy
  verify   moepack verify of the pack
  fio      the pack's files read directly from end to end into huge pages, 8 MiB at a time

The table and the CSV give medians over the rounds and the ratios of each round's pair. As root fio gets
huge pages reserved for it; without them the direct read is slower than it could be, and the table says so.
"""

import argparse
import csv
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

HUGE_PAGES = "/proc/sys/vm/nr_hugepages"


def forget(path):
    """Drops the file's pages from the page cache, after flushing them."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def timed(command, **more):
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)
    return time.monotonic() - start


def peak_run(command):
    """Seconds and the peak resident bytes of a command."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return time.monotonic() - start, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def pack_files(pack):
    return sorted(
        os.path.join(root, name) for root, _, names in os.walk(pack) for name in names)


def copy_and_hash(source, target):
    start = time.monotonic()
    subprocess.run(["cp", source, target], check=True)
    fd = os.open(target, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    copied = time.monotonic() - start
    forget(target)
    hashed = timed(["xxhsum", "-H2", target], stderr=subprocess.DEVNULL)
    os.remove(target)
    return copied, hashed


def direct_read(files, huge):
    """Seconds in which fio reads the files, start-up not counted."""
    # Small files cannot be read in units of 8 MiB; together they are a thousandth of a pack.
    large = [name for name in files if os.path.getsize(name) >= 8 << 20]
    command = [
        "fio", "--thread", "--name=read", "--filename=" + ":".join(large), "--readonly", "--direct=1",
        "--rw=read", "--bs=8M", "--ioengine=libaio", "--iodepth=4", "--file_service_type=sequential",
        "--output-format=terse", "--terse-version=3"]
    if huge:
        command.append("--iomem=mmaphuge")
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    fields = [line for line in out.splitlines() if line.startswith("3;")][0].split(";")
    read_kib, milliseconds = int(fields[5]), int(fields[8])
    total = sum(os.path.getsize(name) for name in files)
    return milliseconds / 1000 * total / (read_kib * 1024)


def reserve_huge_pages(count):
    """Huge pages for fio; returns the former number, or None where they cannot be had."""
    try:
        with open(HUGE_PAGES) as file:
            former = int(file.read())
        with open(HUGE_PAGES, "w") as file:
            file.write(str(max(former, count)))
        with open(HUGE_PAGES) as file:
            return former if int(file.read()) >= count else None
    except OSError:
        return None


def machine():
    model = platform.processor() or "unknown CPU"
    try:
        with open("/proc/cpuinfo") as file:
            model = re.search(r"model name\s*:\s*(.*)", file.read()).group(1)
    except (OSError, AttributeError):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moepack", required=True, help="the built tool")
    parser.add_argument("--work", required=True, help="directory on the disk to measure")
    parser.add_argument("--source", help="GGUF to convert instead of the synthetic one")
    parser.add_argument("--recipe", default="recipes/qwen3.5-397b-a17b.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", default="recipes/results")
    options = parser.parse_args()
    for tool in ("fio", "xxhsum"):
        if not shutil.which(tool):
            raise SystemExit(f"bench_pack: needs {tool}; apt-get install fio xxhash")

    os.makedirs(options.work, exist_ok=True)
    source = options.source
    if not source:
        source = os.path.join(options.work, "pack-source.gguf")
        if not os.path.exists(source):
            subprocess.run(
                [options.moepack, "synth", options.recipe, "-o", source, "--layers", "4",
                 "--vocab", "8192"], check=True)
    pack = os.path.join(options.work, "bench.moepack")
    copy = os.path.join(options.work, "bench-copy.gguf")
    former = reserve_huge_pages(64)
    rows, peak = [], 0
    try:
        for number in range(1, options.rounds + 1):
            shutil.rmtree(pack, ignore_errors=True)
            forget(source)
            convert, resident = peak_run([options.moepack, "convert", source, "-o", pack])
            peak = max(peak, resident)
            forget(source)
            copied, hashed = copy_and_hash(source, copy)
            files = pack_files(pack)
            for name in files:
                forget(name)
            verify = timed([options.moepack, "verify", pack])
            fio = direct_read(files, former is not None)
            rows.append({
                "round": number, "convert_s": convert, "cp_s": copied, "xxhsum_s": hashed,
                "convert_ratio": convert / (copied + hashed), "verify_s": verify, "fio_s": fio,
                "verify_ratio": verify / fio})
            print("  ".join(f"{key} {value:.3g}" for key, value in rows[-1].items()), flush=True)
    finally:
        if former is not None:
            with open(HUGE_PAGES, "w") as file:
                file.write(str(former))
        shutil.rmtree(pack, ignore_errors=True)

    gigabytes = os.path.getsize(source) / 1e9
    write_results(options.results, rows, gigabytes, peak, former is not None)


def write_results(directory, rows, gigabytes, peak, huge):
    with open(os.path.join(directory, "pack.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {key: value if key == "round" else f"{value:.3f}" for key, value in row.items()})

    def middle(key):
        return statistics.median(row[key] for row in rows)

    def spread(key):
        values = [row[key] for row in rows]
        return f"{middle(key):.2f} ({min(values):.2f}-{max(values):.2f})"

    table = [
        "| | seconds, median (least-most) | GB/s |", "|---|---|---|",
        *(f"| {name} | {spread(key)} | {gigabytes / middle(key):.2f} |" for name, key in (
            ("`moepack convert`", "convert_s"), ("`cp`, flushed", "cp_s"),
            ("`xxhsum -H2` of the copy", "xxhsum_s"), ("`moepack verify`", "verify_s"),
            ("`fio`, direct, 8 MiB" + (", huge pages" if huge else ", small pages"), "fio_s"))),
        "", "| ratio | median (least-most) | at most |", "|---|---|---|",
        f"| convert / (cp + xxhsum) | {spread('convert_ratio')} | 1.25 |",
        f"| verify / fio | {spread('verify_ratio')} | 1.15 |"]
    text = "\n".join([
        "# Packing and verifying", "",
        f"`make bench-pack`: a synthetic file of {gigabytes:.1f} GB (Qwen3.5-397B-A17B, 4 layers), "
        f"{len(rows)} rounds in turn, page cache empty. {machine()}. Peak memory of convert "
        f"{peak / 2**20:.0f} MiB.", "", *table, ""])
    with open(os.path.join(directory, "pack.md"), "w") as file:
        file.write(text)
    print(text)


main()
