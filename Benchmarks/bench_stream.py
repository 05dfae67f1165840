#!/usr/bin/env python3
"""Decode and prefill of a model that does not fit in memory, inside memory control groups.

usage: bench_stream.py --moepack BIN --moerun BIN --work DIR [--recipe FILE] [--layers N]
                       [--memory 3GiB,6GiB] [--peer LLAMA_BENCH] [--results DIR] [--quick]

Writes a synthetic model of the recipe's shape once to DIR, packs it, and runs every row in a control
group of exactly the memory named, page cache dropped before each. Needs root for the groups and for
dropping the cache; without it the rows run uncapped and say so. The peer is any llama-bench binary;
nothing of it belongs to this project. Prints a table and writes stream.csv and stream.svg.
"""
import argparse
import contextlib
import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(text):
    for unit, scale in UNITS.items():
        if text.endswith(unit):
            return int(float(text[: -len(unit)]) * scale)
    return int(text)


def group_root():
    """The directory in which memory groups can be made, with the names of its files; None without."""
    if os.geteuid() != 0:
        return None
    for line in open("/proc/self/cgroup"):
        _, controllers, path = line.strip().split(":", 2)
        if "memory" in controllers.split(","):
            root = pathlib.Path("/sys/fs/cgroup/memory" + path)
            return (root, "memory.limit_in_bytes", "memory.max_usage_in_bytes") if root.is_dir() else None
    root = pathlib.Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists() and "memory" in (root / "cgroup.controllers").read_text():
        return (root, "memory.max", "memory.peak")
    return None


@contextlib.contextmanager
def memory_group(limit):
    """A control group of `limit` bytes; yields (enter, peak): a function for the child, and one that
    tells the group's peak afterwards."""
    found = group_root()
    if found is None or limit is None:
        yield (lambda: None), (lambda: None)
        return
    root, limit_name, peak_name = found
    group = root / f"moerun-bench-{os.getpid()}"
    group.mkdir(exist_ok=True)
    (group / limit_name).write_text(str(limit))
    peak = lambda: int((group / peak_name).read_text()) if (group / peak_name).exists() else None
    try:
        yield (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))), peak
    finally:
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def drop_caches():
    with contextlib.suppress(OSError):
        os.sync()
        open("/proc/sys/vm/drop_caches", "w").write("1")


def run(arguments, limit=None):
    """Runs a command cold in a group; returns (output or None, group peak, message)."""
    drop_caches()
    with memory_group(limit) as (enter, peak):
        done = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=enter)
        used = peak()
    if done.returncode != 0:
        return None, used, (done.stderr.strip().splitlines() or ["no message"])[-1]
    return done.stdout, used, ""


def disk_rate(path):
    """What fio reads at best in this minute, bytes a second; None without fio."""
    if not shutil.which("fio"):
        return None
    best = 0
    pages = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = pages.read_text() if os.access(pages, os.W_OK) else None
    if before is not None:
        pages.write_text("64")
    try:
        for depth in (4, 16, 32):
            out = subprocess.run(
                ["fio", "--name=r", f"--filename={path}", "--readonly", "--rw=randread", "--bs=1M",
                 "--direct=1", "--ioengine=io_uring", f"--iodepth={depth}", "--runtime=4",
                 "--time_based", "--output-format=json"]
                + (["--mem=mmaphuge"] if before is not None else []), capture_output=True, text=True)
            with contextlib.suppress(ValueError, KeyError, IndexError):
                best = max(best, json.loads(out.stdout)["jobs"][0]["read"]["bw_bytes"])
    finally:
        if before is not None:
            pages.write_text(before)
    return best or None


def ours(options, pack, limit, extra=()):
    """One row of moerun bench."""
    memory = ["--memory", str(limit)] if limit else []
    out, peak, message = run(
        [options.moerun, "bench", pack, "--prefill", str(options.prefill), "--decode",
         str(options.decode), "--json", *memory, *extra], limit)
    if out is None:
        return {"error": message}
    report = json.loads(out)
    decode, prefill = report["decode"], report["prefill"]
    return {
        "decode_tok_s": decode["tokens_per_second"], "prefill_tok_s": prefill["tokens_per_second"],
        "hit_rate": decode["hit_rate"], "bytes_per_token": decode["bytes_read"] / max(decode["tokens"], 1),
        "stall_share": decode["stall_seconds"] / max(decode["seconds"], 1e-9),
        "peak_bytes": report["peak_memory_bytes"], "group_peak_bytes": peak,
    }


def peer(options, gguf, limit):
    """One row of llama-bench with mmap, without repacking."""
    out, peak, message = run(
        [options.peer, "-m", gguf, "-t", "2", "--repack", "0", "-p", str(options.prefill), "-n",
         "8" if options.quick else "16", "-r", "1", "-o", "json"], limit)
    if out is None:
        return {"error": message}
    row = {"group_peak_bytes": peak}
    for test in json.loads(out):
        key = "decode_tok_s" if test["n_gen"] else "prefill_tok_s"
        row[key] = test["avg_ts"]
    return row


def svg(rows, path):
    """Bars of decode speed, a row each."""
    bars = [(r["name"], r.get("decode_tok_s") or 0) for r in rows]
    top = max((v for _, v in bars), default=1) or 1
    height = 40 + 26 * len(bars)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" '
             'font-family="sans-serif" font-size="13">',
             '<rect width="100%" height="100%" fill="white"/>',
             '<text x="16" y="22" font-size="15">Decode, tokens a second</text>']
    for index, (name, value) in enumerate(bars):
        y = 36 + 26 * index
        width = 380 * value / top
        colour = "#9a9a9a" if name.startswith("peer") else "#2f6fb0"
        parts.append(f'<text x="16" y="{y + 14}">{name}</text>'
                     f'<rect x="290" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>'
                     f'<text x="{296 + width:.1f}" y="{y + 14}">{value:.2f}</text>')
    parts.append("</svg>")
    pathlib.Path(path).write_text("\n".join(parts) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("moepack", "moerun", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--recipe", default="recipes/qwen3.5-397b-a17b.yaml")
    parser.add_argument("--layers", default="4")
    parser.add_argument("--memory", default="3GiB,6GiB")
    parser.add_argument("--peer")
    parser.add_argument("--results", default="recipes/results")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="fewer rows and tokens")
    options = parser.parse_args()
    if options.quick:
        options.prefill, options.decode = 64, 16
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    gguf, pack, index = (str(work / f"bench{suffix}") for suffix in (".gguf", ".moepack", "-index.moepack"))
    if not os.path.exists(gguf):
        subprocess.run([options.moepack, "synth", options.recipe, "-o", gguf, "--layers", options.layers], check=True)
    for target, flags in ((pack, []), (index, ["--in-place"])):
        if not os.path.exists(target + "/manifest.json"):
            subprocess.run([options.moepack, "convert", gguf, "-o", target, *flags], check=True)

    if group_root() is None:
        print("bench_stream: no memory groups here (not root?): rows run uncapped", file=sys.stderr)
    rows = []
    def add(name, row):
        rows.append({"name": name, **row})
        shown = row.get("error") or ", ".join(
            f"{key} {value:.3g}" for key, value in row.items() if isinstance(value, (int, float)))
        print(f"{name:36s} {shown}", flush=True)

    rate = disk_rate(gguf)
    if rate:
        add("fio, best depth", {"disk_bytes_s": rate})
    for text in options.memory.split(","):
        limit = size(text)
        add(f"moerun {text}", ours(options, pack, limit))
        add(f"moerun {text}, in-place GGUF", ours(options, index, limit))
        if not options.quick:
            add(f"moerun {text}, checksums off", ours(options, pack, limit, ["--verify-reads", "off"]))
            add(f"moerun {text}, 1 reader", ours(options, pack, limit, ["--io-threads", "1"]))
        if options.peer:
            add(f"peer {text}", peer(options, gguf, limit))

    results = pathlib.Path(options.results)
    results.mkdir(parents=True, exist_ok=True)
    columns = ["name"] + sorted({key for row in rows for key in row} - {"name"})
    with open(results / "stream.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    svg([row for row in rows if "decode_tok_s" in row], results / "stream.svg")
    print(f"wrote {results}/stream.csv and stream.svg")


if __name__ == "__main__":
    main()
