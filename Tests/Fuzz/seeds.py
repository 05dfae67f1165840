#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets from the fixture's pack: seeds.py --moepack BIN --shim SO.

The shim is Tests/Resume/fault_shim.c as a library (make interruptions builds it). Headers of sources,
which the tables target starts from, must be small: its seeds are those below 4 KiB.
"""

import argparse
import glob
import os
import shutil
import struct
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIXTURES = os.path.join(ROOT, "fixtures")
LIMIT = 4096


def write(target, name, content):
    folder = os.path.join(FIXTURES, "fuzz", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def many_experts(layers):
    """The header of a source with as many experts as a layer may have, of one weight a matrix."""
    def text(word):
        return struct.pack("<Q", len(word)) + word.encode()
    count = 65536
    key = text("general.architecture") + struct.pack("<I", 8) + text("x")
    header = b"GGUF" + struct.pack("<IQQ", 3, 2 * layers, 1) + key
    names = [f"blk.{layer}.ffn_{role}_exps.weight" for layer in range(layers) for role in ("up", "down")]
    for number, name in enumerate(names):
        header += text(name) + struct.pack("<IQQQIQ", 3, 1, 1, count, 0, number * count * 4)
    return header + bytes(-len(header) % 32)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moepack", required=True)
    parser.add_argument("--shim", required=True)
    options = parser.parse_args()
    moepack, shim = os.path.abspath(options.moepack), os.path.abspath(options.shim)
    pack = os.path.join(FIXTURES, "pack")
    source = os.path.join(pack, "source.gguf")
    golden = os.path.join(pack, "golden.moepack")

    # Manifests: of a pack, with changed types, in place, striped.
    write("manifest", "packed", read(golden + "/manifest.json"))
    write("manifest", "requantized", read(pack + "/requantized.moepack/manifest.json"))
    with tempfile.TemporaryDirectory() as work:
        copy = os.path.join(work, "source.gguf")
        shutil.copyfile(source, copy)
        made = os.path.join(work, "made.moepack")
        subprocess.run([moepack, "convert", copy, "-o", made, "--in-place"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        write("manifest", "in-place", read(made + "/manifest.json"))
        for name in ("one", "two"):
            os.mkdir(os.path.join(work, name))
        striped = os.path.join(work, "pack.moepack")
        subprocess.run(
            [moepack, "convert", copy, "-o", striped,
             "--stripe", os.path.join(work, "one") + "," + os.path.join(work, "two")],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        write("manifest", "striped", read(striped + "/manifest.json"))
        volume = "one/pack.moepack.volume-1"
        relative = b"../" + volume.encode() + b"\n../two/pack.moepack.volume-2\n"
        label = read(os.path.join(work, volume, "volume.txt"))
        write("volumes", "relative", relative)
        write("volumes", "label", relative + b"\0" + label)
        write("volumes", "layer", relative + b"\0" + label + b"\0short")
        write("volumes", "leaving", b"# moved\n../../../../etc\n/tmp/../..\n.\n\0" + label)

        # Journals after every call of a conversion that changes the disk.
        last = None
        for call in range(1, 200):
            shutil.rmtree(made, ignore_errors=True)
            environment = dict(os.environ, LD_PRELOAD=shim, FAULT_AT=str(call), FAULT_KIND="killed")
            ended = subprocess.run(
                [moepack, "convert", copy, "-o", made, "--threads", "1"], env=environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if ended.returncode == 0:
                break
            path = made + "/convert.journal"
            journal = read(path) if os.path.exists(path) else b""
            first, _, content = journal.partition(b"\n")
            if content and content != last:
                write("journal", f"call-{call}", content)
                last = content
        write("journal", "marker", b"#moepack conversion in progress\n")

    # Headers of sources that have experts, with a table behind them; frames, with their lengths.
    frame = read(golden + "/headers/00001.gguf.zst")
    table = read(golden + "/checksums.xxh3")
    header = subprocess.run(["zstd", "-dcq"], input=frame, stdout=subprocess.PIPE, check=True).stdout
    for mode in (0, 2, 4, 6):
        write("tables", f"golden-{mode}", bytes([mode]) + header + table)
    write("tables", "frame", bytes([1]) + len(header).to_bytes(4, "big") + frame)

    # 50 layers of 65,536 experts: a table of 105 MB, claimed in 7 KB.
    for mode in (0, 4):
        write("tables", f"experts-{mode}", bytes([mode]) + many_experts(50))

    for path in glob.glob(os.path.join(ROOT, "recipes", "*.yaml")):
        text = read(path)
        if len(text) <= LIMIT:
            write("recipes", os.path.basename(path)[:-5], text)


main()
