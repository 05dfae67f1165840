"""Every call of a run that changes the disk, killed before and after it and failed in four ways."""

import filecmp
import os
import shutil

from harness import KINDS


def every(harness, name, arguments, fresh, check):
    """Runs `arguments` with a fault at each call in turn, `fresh` before and `check` after each run."""
    fresh()
    count, written = harness.calls(arguments)
    check("undisturbed")
    harness.fired = runs = went_on = 0
    for call in range(1, count + 1, harness.options.every):
        for kind in KINDS:
            fresh()
            result = harness.run(arguments, fault=(call, kind))
            what = f"{name}, call {call} of {count}, {kind}"
            runs += 1
            went_on += result.returncode == 0
            harness.check_status(result, what)
            fired = harness.fired
            check(what)
            harness.fired = fired
    if harness.fired != runs:
        harness.fail(f"{name}: {harness.fired} of {runs} faults were met")
    allowed = int(1.1 * harness.pack_bytes) if name.startswith("convert") else None
    harness.row(f"{name}: each of {count} calls, {len(KINDS)} ways, resumed", runs, harness.fired,
                written if allowed else None, allowed, f"{went_on} went on by themselves")


def resumed(harness, arguments, what):
    result = harness.run(arguments)
    if result.returncode != 0:
        harness.fail(f"{what}: again: {result.stderr}")
    return result.returncode == 0


def faults(harness):
    arguments = ["convert", harness.source, "-o", harness.pack, "--threads", "1"]

    def check(what):
        if resumed(harness, arguments + ["--resume"], what):
            harness.compare(harness.pack, what)

    every(harness, "convert", arguments, lambda: shutil.rmtree(harness.pack, ignore_errors=True),
          check)


def stripe(harness):
    parents = [os.path.join(harness.work, f"disk-{number}") for number in (1, 2)]
    arguments = ["convert", harness.source, "-o", harness.pack, "--threads", "1",
                 "--stripe", ",".join(parents)]
    volumes = [os.path.join(parent, f"made.moepack.volume-{number + 1}")
               for number, parent in enumerate(parents)]

    def fresh():
        for path in [harness.pack] + parents:
            shutil.rmtree(path, ignore_errors=True)
        for parent in parents:
            os.mkdir(parent)

    # The undisturbed pack, and its volumes, under other names.
    fresh()
    harness.run(arguments, check=True)
    unstriped, harness.whole = harness.whole, os.path.join(harness.work, "striped")
    shutil.copytree(harness.pack, harness.whole)
    kept = []
    for number, volume in enumerate(volumes):
        kept.append(os.path.join(harness.work, f"kept-{number + 1}"))
        shutil.copytree(volume, kept[-1])

    def check(what):
        if resumed(harness, arguments + ["--resume"], what):
            harness.compare(harness.pack, what, list(zip(volumes, kept)))

    every(harness, "convert --stripe", arguments, fresh, check)
    harness.whole = unstriped


def repair(harness):
    """Of a pack with a wrong slice, a short file, a missing one, and damaged tables."""
    damaged = os.path.join(harness.work, "damaged.moepack")
    arguments = ["repair", harness.pack, "--from", harness.source, "--threads", "1"]
    shutil.copytree(harness.whole, damaged)
    layers = sorted(name for name in os.listdir(damaged) if name.startswith("layer-"))
    with open(os.path.join(damaged, layers[0]), "r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    with open(os.path.join(damaged, layers[1]), "r+b") as file:
        file.truncate(harness.layer_bytes // 2)
    os.remove(os.path.join(damaged, layers[-1]))
    os.remove(os.path.join(damaged, "checksums.xxh3"))
    with open(os.path.join(damaged, "headers", "00001.gguf.zst"), "r+b") as file:
        file.write(b"damage")

    def fresh():
        shutil.rmtree(harness.pack, ignore_errors=True)
        shutil.copytree(damaged, harness.pack)

    def check(what):
        if resumed(harness, arguments, what):
            # What a killed run was writing beside a file is no part of the pack.
            for root, _, names in os.walk(harness.pack):
                for name in names:
                    if name.endswith(".partial"):
                        os.remove(os.path.join(root, name))
            harness.compare(harness.pack, what)

    every(harness, "repair", arguments, fresh, check)


def consume(harness):
    copy = os.path.join(harness.work, "consumed", "source.gguf")
    back = os.path.join(harness.work, "back.gguf")
    arguments = ["convert", copy, "-o", harness.pack, "--consume", "--yes", "--threads", "1"]
    os.makedirs(os.path.dirname(copy), exist_ok=True)

    def fresh():
        shutil.rmtree(harness.pack, ignore_errors=True)
        shutil.copyfile(harness.source, copy)

    def check(what):
        if not resumed(harness, arguments + ["--resume"], what):
            return
        harness.compare(harness.pack, what)
        if os.stat(copy).st_blocks != 0:
            harness.fail(f"{what}: {os.stat(copy).st_blocks} blocks of the source are left")
        harness.run(["export", harness.pack, "-o", back, "--overwrite"], check=True)
        if not filecmp.cmp(back, harness.source, False):
            harness.fail(f"{what}: the export is not the source")

    every(harness, "convert --consume, exported", arguments, fresh, check)
