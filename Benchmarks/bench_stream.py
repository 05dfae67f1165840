#!/usr/bin/env python3
"""Decode and prefill of a model that does not fit in memory, inside memory control groups.

usage: bench_stream.py --moepack BIN --moerun BIN --work DIR [--recipe FILE] [--layers N] [--vocab N]
                       [--memory 3GiB,6GiB] [--rounds N] [--peer LLAMA_BENCH] [--results DIR]
                       [--no-ablation] [--only REGEX] [--quick]

Writes a synthetic model of the recipe's shape once to DIR, packs it, and runs every row in a control
group of exactly the memory named, page cache dropped before each. Rows are run in turn, --rounds
times, and the median of each figure is kept, so that a noisy minute spoils no row alone. Needs root
for the groups and for dropping the cache; without it the rows run uncapped and say so. The peer is any
llama-bench binary; nothing of it belongs to this project. Prints a table with every row as a ratio to
the full engine, and writes stream.md, stream.csv and stream.svg.
"""
import argparse
import contextlib
import csv
import json
import os
import pathlib
import re
import shutil
import statistics
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


def disk_rates(path):
    """What fio reads in this minute, bytes a second: at best, at its best depth into a few MB, which
    stay in the processor's cache; and into 64 MiB, which do not, as slots of experts do not. Empty
    without fio."""
    if not shutil.which("fio"):
        return {}
    rates = {}
    pages = pathlib.Path("/proc/sys/vm/nr_hugepages")
    before = pages.read_text() if os.access(pages, os.W_OK) else None
    if before is not None:
        pages.write_text("64")
    try:
        for key, block, depth in (("disk_bytes_s", "1M", 4), ("disk_bytes_s", "1M", 16),
                                  ("disk_bytes_s", "1M", 32), ("disk_to_memory_bytes_s", "4M", 16),
                                  ("disk_to_memory_bytes_s", "16M", 4)):
            out = subprocess.run(
                ["fio", "--name=r", f"--filename={path}", "--readonly", "--rw=randread",
                 f"--bs={block}", "--direct=1", "--ioengine=io_uring", f"--iodepth={depth}", "--runtime=3",
                 "--time_based", "--output-format=json"]
                + (["--mem=mmaphuge"] if before is not None else []), capture_output=True, text=True)
            with contextlib.suppress(ValueError, KeyError, IndexError):
                rate = json.loads(out.stdout)["jobs"][0]["read"]["bw_bytes"]
                rates[key] = max(rates.get(key, 0), rate)
    finally:
        if before is not None:
            pages.write_text(before)
    return {key: rate for key, rate in rates.items() if rate}


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
    row = {
        "decode_tok_s": decode["tokens_per_second"], "prefill_tok_s": prefill["tokens_per_second"],
        "hit_rate": decode["hit_rate"], "bytes_per_token": decode["bytes_read"] / max(decode["tokens"], 1),
        "prefill_bytes": prefill["bytes_read"],
        "stall_share": decode["stall_seconds"] / max(decode["seconds"], 1e-9),
        "peak_bytes": report["peak_memory_bytes"], "group_peak_bytes": peak,
    }
    for key in ("disk_bytes_per_second", "stall_bytes_per_second", "mean_reads_in_flight", "prefetch_useful_share"):
        if key in decode:
            row[key] = decode[key]
    return row


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


def median_row(rows):
    """The median of every figure of one row's rounds; the first error, if any."""
    for row in rows:
        if "error" in row:
            return row
    keys = {key for row in rows for key, value in row.items() if isinstance(value, (int, float))}
    return {key: statistics.median([row[key] for row in rows if key in row]) for key in sorted(keys)}


def plan(options, pack, index):
    """Names of the rows in the order they run, each with a function that runs it once."""
    rows = {}
    for text in options.memory.split(","):
        limit = size(text)
        name = f"moerun {text}"
        rows[name] = lambda limit=limit: ours(options, pack, limit)
        rows[f"{name}, 8-bit activations, as the peer"] = lambda limit=limit: ours(
            options, pack, limit, ["--activations", "8"])
        if options.peer:
            rows[f"peer {text}"] = lambda limit=limit: peer(options, options.gguf, limit)
        if options.quick or options.no_ablation:
            continue
        for label, target, extra in (
                ("in-place GGUF", index, []),
                ("whole experts, no slice readiness", pack, ["--without", "slice-readiness"]),
                ("no reads ahead of a chunk's layer", pack, ["--without", "chunk-read-ahead"]),
                ("4 KiB pages", pack, ["--without", "huge-pages"]),
                ("checksums off", pack, ["--verify-reads", "off"]),
                ("io_uring", pack, ["--io-backend", "uring"]),
                ("pread", pack, ["--io-backend", "pread"]),
                ("split 1", pack, ["--io-split", "1"]), ("split 2", pack, ["--io-split", "2"]),
                ("split 4", pack, ["--io-split", "4"]), ("split 8", pack, ["--io-split", "8"]),
                ("1 read in flight", pack, ["--io-threads", "1"]),
                ("LRU", pack, ["--cache-policy", "lru"]), ("CRF", pack, ["--cache-policy", "crf"]),
                ("prefetch auto", pack, ["--prefetch", "auto"]),
                ("prefetch next-layer-router", pack, ["--prefetch", "next-layer-router"]),
                ("prefetch popularity", pack, ["--prefetch", "popularity"]),
                ("prefetch previous-token", pack, ["--prefetch", "previous-token"]),
                ("prefetch off", pack, ["--prefetch", "off"])):
            rows[f"{name}, {label}"] = lambda limit=limit, target=target, extra=extra: ours(
                options, target, limit, extra)
    return rows


COLUMNS = (
    ("decode_tok_s", "decode tok/s", "{:.2f}"), ("decode_ratio", "ratio", "{:.2f}"),
    ("prefill_tok_s", "prefill tok/s", "{:.1f}"), ("prefill_ratio", "ratio", "{:.2f}"),
    ("hit_rate", "hit rate", "{:.0%}"), ("bytes_per_token", "MB a token", "{:.0f}"),
    ("disk_bytes_per_second", "disk GB/s", "{:.2f}"), ("stall_share", "waiting", "{:.0%}"),
    ("stall_bytes_per_second", "GB/s then", "{:.2f}"),
    ("group_peak_bytes", "group peak GiB", "{:.2f}"))
SCALE = {"bytes_per_token": 1e-6, "disk_bytes_per_second": 1e-9,
         "stall_bytes_per_second": 1e-9, "group_peak_bytes": 1 / (1 << 30)}


def table(rows, options):
    """The medians as a table in Markdown; ratios are to the full engine in the same memory."""
    lines = [
        "# Streaming: decode and prefill in memory groups", "",
        f"`make bench-stream`: the shape of {pathlib.Path(options.recipe).stem}, {options.layers} layers, "
        f"vocabulary {options.vocab}, random weights; {options.prefill} tokens of prompt, {options.decode} "
        f"generated; page cache dropped before every row; medians of {options.rounds}. Ratios are to the "
        "full engine in the same memory.", ""]
    for row in rows:
        if "disk_bytes_s" in row:
            memory = row.get("disk_to_memory_bytes_s")
            lines += [
                f"The disk in the same minutes, by fio at its best depth: {row['disk_bytes_s'] / 1e9:.2f} GB/s"
                + (f", and {memory / 1e9:.2f} into buffers larger than the processor's cache" if memory else "")
                + ".", ""]
    lines.append("| | " + " | ".join(title for _, title, _ in COLUMNS) + " |")
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for row in rows:
        if "disk_bytes_s" in row:
            continue
        cells = [form.format(row[key] * SCALE.get(key, 1)) if row.get(key) is not None else ""
                 for key, _, form in COLUMNS]
        lines.append(f"| {row['name']} | " + (row["error"] if "error" in row else " | ".join(cells)) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("moepack", "moerun", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--recipe", default="recipes/qwen3.5-397b-a17b.yaml")
    parser.add_argument("--layers", default="4")
    parser.add_argument("--vocab", default="8192")
    parser.add_argument("--memory", default="3GiB,6GiB")
    parser.add_argument("--peer")
    parser.add_argument("--results", default="recipes/results")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-ablation", action="store_true", help="the full engine and the peer alone")
    parser.add_argument("--only", default="", help="rows whose names match this regular expression")
    parser.add_argument("--quick", action="store_true", help="no ablation, one round")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    gguf, pack, index = (str(work / f"bench{suffix}") for suffix in (".gguf", ".moepack", "-index.moepack"))
    options.gguf = gguf
    if not os.path.exists(gguf):
        subprocess.run([options.moepack, "synth", options.recipe, "-o", gguf, "--layers", options.layers,
                        "--vocab", options.vocab], check=True)
    for target, flags in ((pack, []), (index, ["--in-place"])):
        if not os.path.exists(target + "/manifest.json"):
            subprocess.run([options.moepack, "convert", gguf, "-o", target, *flags], check=True)

    if group_root() is None:
        print("bench_stream: no memory groups here (not root?): rows run uncapped", file=sys.stderr)
    measured = {}
    for number in range(options.rounds):
        rates = disk_rates(gguf)
        if rates:
            measured.setdefault("fio, best depth", []).append(rates)
        for name, once in plan(options, pack, index).items():
            if not re.search(options.only, name):
                continue
            row = once()
            measured.setdefault(name, []).append(row)
            shown = row.get("error") or ", ".join(
                f"{key} {value:.3g}" for key, value in row.items() if isinstance(value, (int, float)))
            print(f"round {number + 1}: {name:44s} {shown}", flush=True)

    rows = [{"name": name, **median_row(rounds)} for name, rounds in measured.items()]
    full = {row["name"]: row for row in rows}
    for row in rows:
        base = next((full[name] for name in full if row["name"].startswith(name + ",")), None)
        if base is None and row["name"].startswith("peer"):
            base = full.get(row["name"].replace("peer", "moerun"))
        for key in ("decode", "prefill"):
            value, reference = row.get(f"{key}_tok_s"), (base or row).get(f"{key}_tok_s")
            if value and reference:
                row[f"{key}_ratio"] = value / reference

    results = pathlib.Path(options.results)
    results.mkdir(parents=True, exist_ok=True)
    columns = ["name"] + sorted({key for row in rows for key in row} - {"name"})
    with open(results / "stream.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    svg([row for row in rows if "decode_tok_s" in row], results / "stream.svg")
    (results / "stream.md").write_text(table(rows, options))
    print("\n" + table(rows, options))
    print(f"wrote {results}/stream.md, stream.csv and stream.svg")


if __name__ == "__main__":
    main()
