#!/usr/bin/env python3
"""Perplexity and divergence of every instruction set, precision of activations and type of keys and values.

usage: bench_perplexity.py --moepack BIN --moerun BIN --work DIR [--goldens DIR]... [--isa A,B]
                           [--text FILE] [--threads N] [--results DIR]

For every trained checkpoint DIR/models/NAME.gguf (or .gguf.xz; DIR/NAME.gguf of the fixtures) with
DIR/golden/NAME: perplexity of ppl.txt in windows of 512 tokens, and two mean divergences of the
next-token distributions, KL(p || ours) in natural units: with p the exact model at the 40 positions of
ref.txt, where the reference engine's own is known, and with p our scalar path at 512 positions of
ppl.txt. The scalar path with F32 keys and values is the definition that all rows are measured by. --text
adds the perplexity of a longer text, without scalar instructions, which would take an hour. Prints the
table, and writes perplexity.md and perplexity.csv. Exit status 1 when a row leaves the bounds.
"""
import argparse
import array
import csv
import json
import lzma
import math
import operator
import os
import pathlib
import shutil
import subprocess
import sys

# What a row may differ by: share of the scalar path's perplexity, and of the reference engine's.
SCALAR_BOUND = 0.002
REFERENCE_BOUND = 0.005
WINDOW = 512
# A model with random weights has perplexities above its vocabulary's size; they say nothing.
TRAINED_BELOW = 1000


def run(command, isa=None):
    """Standard output of a command; its last message ends the program when it fails."""
    environment = dict(os.environ, **({"MOERUN_ISA": isa} if isa else {}))
    out = subprocess.run(command, capture_output=True, text=True, env=environment)
    if out.returncode != 0:
        sys.exit((out.stderr.strip().splitlines() or [f"{command[0]} gave no message"])[-1])
    return out.stdout


def checkpoints(directories):
    """(name, path of the GGUF, goldens) of every trained checkpoint, each name once."""
    found = {}
    for directory in map(pathlib.Path, directories):
        for meta in sorted(directory.glob("golden/*/meta.json")):
            name = meta.parent.name
            perplexity = json.loads(meta.read_text()).get("perplexity_c512")
            places = [base / (name + end) for base in (directory, directory / "models") for end in (".gguf", ".gguf.xz")]
            source = next((place for place in places if place.exists()), None)
            if perplexity and perplexity[0] < TRAINED_BELOW and source:
                found.setdefault(name, (name, source, meta.parent))
    return list(found.values())


def packed(options, name, source):
    """The checkpoint's pack below the work directory."""
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    pack = work / f"{name}.moepack"
    if not (pack / "manifest.json").exists():
        if source.suffix == ".xz":
            plain = work / f"{name}.gguf"
            with lzma.open(source) as compressed, open(plain, "wb") as file:
                shutil.copyfileobj(compressed, file)
            source = plain
        run([options.moepack, "convert", str(source), "-o", str(pack), "--overwrite"])
    return str(pack)


def floats(path):
    values = array.array("f")
    values.frombytes(pathlib.Path(path).read_bytes())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def rows_of(values, vocabulary):
    return (values[start:start + vocabulary] for start in range(0, len(values), vocabulary))


def log_sum_exp(row):
    top = max(row)
    return top + math.log(sum(map(math.exp, (value - top for value in row))))


class Distribution:
    """Next-token distributions that others are compared with."""

    def __init__(self, logits, vocabulary):
        self.vocabulary = vocabulary
        self.rows = []
        for row in rows_of(logits, vocabulary):
            total = log_sum_exp(row)
            p = array.array("d", map(math.exp, (value - total for value in row)))
            # Of sum(p log p), with log p = row - total.
            self.rows.append((p, sum(map(operator.mul, p, row)) - total))

    def divergence(self, logits):
        """Mean of KL(self || logits)."""
        others = list(rows_of(logits, self.vocabulary))
        if len(others) != len(self.rows):
            sys.exit(f"bench_perplexity: expected logits of {len(self.rows)} positions, found {len(others)}")
        total = sum(entropy - sum(map(operator.mul, p, row)) + log_sum_exp(row)
                    for (p, entropy), row in zip(self.rows, others))
        return total / len(others)


def perplexity(options, pack, isa, arguments, text):
    out = run([options.moerun, "perplexity", pack, "-f", str(text), "--context", str(WINDOW), "--threads",
               str(options.threads), "--json", *arguments], isa)
    return json.loads(out)


def logits(options, pack, isa, arguments, tokens):
    path = pathlib.Path(options.work) / "logits.f32"
    run([options.moerun, "logits", pack, "--tokens", str(tokens), "-o", str(path), "--threads",
         str(options.threads), *arguments], isa)
    return floats(path)


def measure(options, name, source, goldens):
    """Rows of one checkpoint; the first is the scalar path with F32 keys and values."""
    pack = packed(options, name, source)
    meta = json.loads((goldens / "meta.json").read_text())
    vocabulary = meta["shape"][1]
    exact = Distribution(floats(goldens / "exact.logits.f32"), vocabulary)
    window = pathlib.Path(options.work) / f"{name}.window.json"
    ids = json.loads(run([options.moerun, "tokenize", pack, "-f", str(goldens / "ppl.txt")]))[:WINDOW]
    window.write_text(json.dumps(ids))
    definition, base, rows = None, None, []
    first = ("scalar", "16", "f32")
    cases = [(isa, bits, kv) for isa in options.isa.split(",") for bits in ("16", "8") for kv in ("f32", "f16", "q8_0")]
    known = {}
    for isa, bits, kv in [first] + [case for case in cases if case != first]:
        arguments = ["--activations", bits, "--kv-type", kv]
        ours = logits(options, pack, isa, arguments, window)
        # Scalar instructions take floats whatever the bits, and a minute: the same logits, the same perplexity.
        before = known.get((isa, kv))
        if isa == "scalar" and before and before[1] == ours:
            report = before[0]
        else:
            report = perplexity(options, pack, isa, arguments, goldens / "ppl.txt")
        known[isa, kv] = report, ours
        if definition is None:
            definition, base = Distribution(ours, vocabulary), report["perplexity"]
        row = {
            "model": name, "isa": report["isa"], "activations": bits, "kv_type": report["kv_type"],
            "perplexity": report["perplexity"], "to_scalar": report["perplexity"] / base - 1,
            "to_reference": report["perplexity"] / meta["perplexity_c512"][0] - 1,
            "kl_to_scalar": definition.divergence(ours),
            "kl_to_exact": exact.divergence(logits(options, pack, isa, arguments, goldens / "ref.tokens.json")),
            "reference_kl_to_exact": meta["kl_exact_vs_reference"]}
        if options.text and isa != "scalar":
            row["text_perplexity"] = perplexity(options, pack, isa, arguments, options.text)["perplexity"]
        rows.append(row)
        print(row, flush=True)
    return rows


def is_outside(row):
    return abs(row["to_scalar"]) > SCALAR_BOUND or abs(row["to_reference"]) > REFERENCE_BOUND


def table(rows, has_text):
    lines = [
        "# Perplexity by instruction set, activations, keys and values", "",
        "`make bench-perplexity`. Perplexity of ppl.txt, 2,550 tokens scored in windows of 512; its difference from "
        "our scalar path with F32 keys and values (within 0.2 %) and from the reference engine's own arithmetic "
        "(within 0.5 %). Mean KL of next-token distributions: from the scalar path at 512 positions; from the exact "
        "model at the golden's 40 positions, and the reference engine's own there. Scalar instructions take "
        "activations as floats, whatever `--activations` says."
        + (" `text`: perplexity of a longer text, beside the first row of the same instructions, empty "
           "where it was not run." if has_text else ""),
        "",
        "| model | instructions | activations | keys, values | perplexity | to scalar | to reference | KL to scalar "
        "| KL to exact | reference's KL |" + (" text | to 16, f32 |" if has_text else ""),
        "|---|---|---|---|---|---|---|---|---|---|" + ("---|---|" if has_text else "")]
    first = {}
    for row in rows:
        line = (f"| {row['model']} | {row['isa']} | {row['activations']} | {row['kv_type']} | {row['perplexity']:.4f} "
                f"| {row['to_scalar']:+.3%} | {row['to_reference']:+.3%} | {max(0, row['kl_to_scalar']):.1e} "
                f"| {row['kl_to_exact']:.1e} | {row['reference_kl_to_exact']:.1e} |")
        if has_text and "text_perplexity" in row:
            base = first.setdefault((row["model"], row["isa"]), row["text_perplexity"])
            line += f" {row['text_perplexity']:.4f} | {row['text_perplexity'] / base - 1:+.3%} |"
        elif has_text:
            line += " | |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("moepack", "moerun", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--goldens", action="append", default=["fixtures"])
    parser.add_argument("--isa", default="scalar,avx2,avx512")
    parser.add_argument("--text")
    parser.add_argument("--threads", type=int, default=min(64, os.cpu_count() or 1))
    parser.add_argument("--results", default="recipes/results")
    options = parser.parse_args()
    rows = [row for found in checkpoints(options.goldens) for row in measure(options, *found)]
    if not rows:
        sys.exit("bench_perplexity: expected a trained checkpoint below " + ", ".join(options.goldens))
    results = pathlib.Path(options.results)
    results.mkdir(parents=True, exist_ok=True)
    with open(results / "perplexity.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    text = table(rows, bool(options.text))
    (results / "perplexity.md").write_text(text)
    print("\n" + text)
    outside = [row for row in rows if is_outside(row)]
    for row in outside:
        print("outside the bounds: " + " ".join(str(row[key]) for key in ("model", "isa", "activations", "kv_type")))
    sys.exit(1 if outside else 0)


if __name__ == "__main__":
    main()
