#!/usr/bin/env python3
"""Matrix products by type and instruction set, and a whole model in memory beside other engines.

usage: bench_kernels.py --kernels BIN [--threads N] [--types A,B] [--moepack BIN --moerun BIN --work DIR]
                        [--model RECIPE[:TYPE[:LAYERS]]]... [--vocab N] [--prefill 512,2048] [--rounds N]
                        [--peer NAME=LLAMA_BENCH[,OPTION...]]... [--results DIR] [--no-products]
                        [--reference TEST_BACKEND_OPS]

First every product from memory (kernel_bench.c says what the columns are), each type followed by the same of
llama.cpp's test-backend-ops where one is given (4096 x 14336 weights, 1 and 512 tokens). Then, with --moerun, each
recipe's shape with random weights, all of TYPE if there is one, wholly in memory and warm: a prompt of each length and
64 tokens of generation behind it, engines in turn, --rounds times, medians. A peer is any llama-bench; what follows its path
is given to it, so one binary can run twice: --peer llama=BIN,--repack,0. Nothing of it belongs to this
project. Prints the tables, and writes kernels.md, kernels.csv, reference.csv and models.csv.
"""
import argparse
import contextlib
import csv
import io
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys


# The mix of the report, and the usual types of downloads.
MODELS = ["recipes/qwen3.5-397b-a17b.yaml", "recipes/qwen3.5-35b-a3b.yaml:Q4_K:8",
          "recipes/qwen3.5-35b-a3b.yaml:Q8_0:8", "recipes/qwen3.5-35b-a3b.yaml:MXFP4:8"]

# Types in the order of the tables, and the bits of a weight.
BITS = {
    "F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q4_0": 4.5, "Q4_1": 5, "Q5_0": 5.5, "Q5_1": 6, "Q2_K": 2.625,
    "Q3_K": 3.4375, "Q4_K": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "IQ1_S": 1.5625, "IQ1_M": 1.75, "IQ2_XXS": 2.0625,
    "IQ2_XS": 2.3125, "IQ2_S": 2.5625, "IQ3_XXS": 3.0625, "IQ3_S": 3.4375, "IQ4_NL": 4.5, "IQ4_XS": 4.25,
    "TQ1_0": 1.6875, "TQ2_0": 2.0625, "MXFP4": 4.25, "NVFP4": 4.5}


def products(options):
    """Rows of kernel_bench, and of the reference, a type at a time."""
    rows, reference = [], []
    for name in options.types.split(",") if options.types else BITS:
        command = [options.kernels, str(options.threads), name]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows += csv.DictReader(io.StringIO(out))
        if options.reference:
            reference += reference_products(options, name)
    return rows, reference


def reference_products(options, name):
    """What test-backend-ops says of a type, with all of the machine's threads, and kernel_bench of as many weights
    right after it; nothing of a type that the reference does not know."""
    columns, kind = 14336, name.lower().replace("_k", "_K")
    out = subprocess.run(
        [options.reference, "perf", "-o", "MUL_MAT", "-b", "CPU",
         "-p", f"type_a={kind},type_b=f32,m=4096,n=(1|512),k={columns}"],
        capture_output=True, text=True).stdout
    found = {int(n): float(time) for n, time in re.findall(r",n=(\d+),k=.*runs -\s*([0-9.]+) us/run", out)}
    if len(found) != 2:
        return []
    weights = 4096 * columns
    megabytes = round(weights * BITS[name] / 8 / 2**20)
    out = subprocess.run([options.kernels, str(options.threads), name, str(megabytes)],
                         capture_output=True, text=True, check=True).stdout
    own = [row for row in csv.DictReader(io.StringIO(out)) if row["isa"] != "scalar" and row["bits"] != "16"][-1]
    return [{"type": name, "isa": own["isa"], "own_1": round(float(own["matvec_gb_s"]) * 8 / BITS[name], 2),
             "gmac_1": round(weights / found[1] / 1e3, 2), "own_512": float(own["gmac_512"]),
             "gmac_512": round(weights * 512 / found[512] / 1e3, 2)}]


def reference_table(reference):
    lines = [
        "# Beside the reference's products", "",
        "10^9 multiply-adds a second, of the fastest instruction set and 8-bit activations (floats with F32, F16 and "
        "BF16), and of llama.cpp's `test-backend-ops perf`, without repacking, each type in turn. Both multiply the same "
        "4096 x 14336 weights again and again, which the last-level cache may keep.", "",
        "| type | 1 token | llama.cpp | ratio | 512 tokens | llama.cpp | ratio |", "|---|---|---|---|---|---|---|"]
    for other in reference:
        cells = [other["type"]]
        for tokens in (1, 512):
            ours, theirs = other[f"own_{tokens}"], other[f"gmac_{tokens}"]
            cells += [f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def product_table(rows, threads):
    lines = [
        "# Matrix products from memory", "",
        f"`make bench-kernels`, {threads} threads; GB/s of weights with one token, the share of what the same "
        "threads read from that memory, and 10^9 multiply-adds a second with more tokens.", "",
        "| type | instructions | activation bits | GB/s | of read | 4 tokens | 10 | 64 | 512 |",
        "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        share = float(row["matvec_gb_s"]) / float(row["read_gb_s"])
        lines.append(
            f"| {row['type']} | {row['isa']} | {row['bits']} | {float(row['matvec_gb_s']):.1f} | {share:.2f} | "
            + " | ".join(f"{float(row[f'gmac_{n}']):.1f}" for n in (4, 10, 64, 512)) + " |")
    return "\n".join(lines) + "\n"


def ours(options, pack, prefill, decode, *extra):
    out = subprocess.run(
        [options.moerun, "bench", pack, "--prefill", str(prefill), "--decode", str(decode), "--threads",
         str(options.threads), "--warm-up", "--json", *extra], capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit((out.stderr.strip().splitlines() or ["moerun bench gave no message"])[-1])
    report = json.loads(out.stdout)
    return {"prefill": report["prefill"]["tokens_per_second"],
            "decode": report["decode"]["tokens_per_second"], "isa": report["isa"]}


def peer(options, command, gguf, prefill, decode):
    """A llama-bench, which generates behind the prompt as moerun does: ik_llama.cpp's -gp, llama.cpp's --n-depth."""
    binary, *extra = command.split(",")
    text = subprocess.run([binary, "--help"], capture_output=True, text=True).stdout
    prompt = ["-p", str(prefill), "-n", "0"]
    runs = ([[*prompt, "-gp", f"{prefill},{decode}"]] if "-gp <" in text
            else [prompt, ["-p", "0", "-n", str(decode), "-d", str(prefill)]])
    speeds = {}
    for arguments in runs:
        out = subprocess.run([binary, "-m", gguf, "-t", str(options.threads), *arguments, "-r", "1", "-o", "json",
                              *extra], capture_output=True, text=True)
        with contextlib.suppress(ValueError, KeyError):
            speeds |= {"decode" if test["n_gen"] else "prefill": test["avg_ts"] for test in json.loads(out.stdout)}
            continue
        print(f"bench_kernels: {binary} says: {(out.stderr.strip().splitlines() or ['nothing'])[-1]}",
              file=sys.stderr)
    return speeds


def variant(work, recipe, kind):
    """The recipe, or a copy of it in `work` whose experts and dense matrices are of `kind`."""
    if not kind:
        return recipe
    text = pathlib.Path(recipe).read_text()
    tokenizers = str(pathlib.Path(recipe).resolve().parent)
    text = re.sub(r"(tokenizer: )(\.\./)", lambda match: f"{match[1]}{tokenizers}/{match[2]}", text)
    text, count = re.subn(r"(?m)^(    (?:expert_gate|expert_up|expert_down|dense): ).*$", rf"\g<1>{kind}", text)
    if count != 4:
        sys.exit(f"{recipe}: expected four types of experts and dense matrices in its shape, found {count}")
    # Rules are for the packer, which would take other types for an error of the file.
    text = re.sub(r"(?ms)^types:\n.*?\n(?=\S)", "", text)
    path = work / f"{pathlib.Path(recipe).stem}-{kind}.yaml"
    path.write_text(text)
    return str(path)


def model_rows(options, model):
    """Medians of one model's shape: a row an engine and length of prompt."""
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    recipe, kind, layers = (model.split(":") + ["", ""])[:3]
    layers = layers or "4"
    recipe = variant(work, recipe, kind)
    stem = f"{pathlib.Path(recipe).stem}, {layers} layers"
    name = f"{pathlib.Path(recipe).stem}-{layers}-{options.vocab}"
    gguf, pack = str(work / f"{name}.gguf"), str(work / f"{name}.moepack")
    if not os.path.exists(gguf):
        subprocess.run([options.moepack, "synth", recipe, "-o", gguf, "--layers", layers,
                        "--vocab", options.vocab], check=True)
    if not os.path.exists(pack + "/manifest.json"):
        subprocess.run([options.moepack, "convert", gguf, "-o", pack], check=True)
    measured = {}
    for number in range(options.rounds):
        for prefill in map(int, options.prefill.split(",")):
            engines = {"moerun": lambda: ours(options, pack, prefill, 64),
                       "moerun, 16 bits": lambda: ours(options, pack, prefill, 64, "--activations", "16")}
            for text in options.peer:
                name, command = text.split("=", 1)
                engines[name] = lambda command=command: peer(options, command, gguf, prefill, 64)
            for name, once in engines.items():
                speeds = once()
                print(f"round {number + 1}: {stem}, {prefill} tokens, {name}: {speeds}", flush=True)
                measured.setdefault((prefill, name), []).append(speeds)
    return [median_row(stem, prefill, name, runs) for (prefill, name), runs in measured.items()]


def median_row(model, prefill, engine, runs):
    """Medians of an engine's rounds, and the rounds themselves."""
    row = {"model": model, "prompt": prefill, "engine": engine}
    for key in ("prefill", "decode"):
        values = [round(run[key], 2) for run in runs if key in run]
        if values:
            row |= {key: statistics.median(values), f"{key}_rounds": " ".join(map(str, values))}
    return row


def ratio(base, row, key):
    """How much faster `base` was than the engine of `row`: of the medians, and in brackets the range of the rounds."""
    if base is row:
        return ""
    rounds = [list(map(float, r[f"{key}_rounds"].split())) for r in (base, row)]
    ratios = [own / other for own, other in zip(*rounds)]
    return f"{base[key] / row[key]:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def model_table(rows, options):
    lines = ["", f"# Models in memory, {options.threads} threads, medians of {options.rounds}", "",
             f"Random weights, vocabulary {options.vocab}; ratios are moerun's speed "
             "to that engine's: of the medians, and the least and the largest of a round.", "",
             "| model | prompt | engine | prompt tok/s | ratio | decode tok/s | ratio |",
             "|---|---|---|---|---|---|---|"]
    for row in rows:
        base = next(r for r in rows if r["model"] == row["model"] and r["prompt"] == row["prompt"]
                    and r["engine"] == "moerun")
        cells = []
        for key in ("prefill", "decode"):
            cells += [f"{row[key]:.1f}", ratio(base, row, key)] if key in row else ["", ""]
        lines.append(f"| {row['model']} | {row['prompt']} | {row['engine']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_csv(path, rows):
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", required=True)
    for name in ("moepack", "moerun", "work", "types"):
        parser.add_argument("--" + name)
    parser.add_argument("--threads", type=int, default=min(64, os.cpu_count() or 1))
    parser.add_argument("--model", action="append")
    parser.add_argument("--no-products", action="store_true")
    parser.add_argument("--vocab", default="8192")
    parser.add_argument("--prefill", default="512,2048")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--reference", help="llama.cpp's test-backend-ops; a minute for types of IQ1 and IQ2")
    parser.add_argument("--results", default="recipes/results")
    options = parser.parse_args()
    for text in options.peer:
        if "=" not in text:
            parser.error(f"--peer takes NAME=LLAMA_BENCH[,OPTION...], found {text}")
    results = pathlib.Path(options.results)
    results.mkdir(parents=True, exist_ok=True)
    text = ""
    if not options.no_products:
        rows, reference = products(options)
        text = product_table(rows, options.threads)
        write_csv(results / "kernels.csv", rows)
        if reference:
            text += "\n" + reference_table(reference)
            write_csv(results / "reference.csv", reference)
    if options.moerun and options.work:
        models = []
        for model in options.model or MODELS:
            models += model_rows(options, model)
        write_csv(results / "models.csv", models)
        text += model_table(models, options)
    (results / "kernels.md").write_text(text)
    print("\n" + text)
    print(f"wrote {results}/kernels.md and the CSV files beside it")


if __name__ == "__main__":
    main()
