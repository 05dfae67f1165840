"""One conversion that is interrupted hundreds of times: by SIGKILL, or by a disk that is full."""

import json
import os
import shutil
import subprocess
import time

# A write waits for so long, so that hundreds of interruptions find room in one conversion.
PACE = 0.004


def claimed(pack):
    """Layers that the journal in `pack` claims, whole or in part; None where it is none yet."""
    try:
        with open(os.path.join(pack, "convert.journal"), "rb") as file:
            title, _, content = file.read().partition(b"\n")
    except OSError:
        return None
    if not title.startswith(b"moepack conversion journal"):
        return None
    return sum(unit["name"].startswith("layer-") for unit in json.loads(content)["units"])


def written_of(harness, arguments, what):
    """Runs a conversion to its end under the shim; gives the bytes that it wrote."""
    log = os.path.join(harness.work, "written")
    result = harness.run(arguments, log=log)
    if result.returncode != 0:
        harness.fail(f"{what}: status {result.returncode}: {result.stderr}")
        return 0
    with open(log) as file:
        return int(file.read().split()[1])


def kills(harness):
    """SIGKILL at random moments of one conversion, each followed by --resume."""
    wanted = harness.options.rounds
    arguments = ["convert", harness.source, "-o", harness.pack, "--resume"]
    shutil.rmtree(harness.pack, ignore_errors=True)
    killed = middle = written = 0
    # Seconds from the first write to a kill, on average; the time before it depends on the machine.
    window = 0.05
    while killed < wanted:
        before = claimed(harness.pack) or 0
        process = harness.start(arguments, PACE)
        # Some kills come while the program looks at what is there.
        if killed % 10 != 0:
            while process.poll() is None and not writes(process.pid):
                time.sleep(0.0005)
        deadline = time.time() + harness.random.uniform(0, 2 * window)
        while process.poll() is None and time.time() < deadline:
            time.sleep(0.0005)
        count = harness.stop(process)
        if count is None:
            harness.fail(f"the conversion ended after {killed} of {wanted} kills: "
                         f"status {process.returncode} {process.stderr.read()}")
            return
        killed += 1
        written += count
        if os.path.exists(os.path.join(harness.pack, "manifest.json")):
            harness.fail(f"kill {killed} came when the pack was complete")
            return
        after = claimed(harness.pack)
        middle += bool(after)
        # Neither faster than the kills that are left, nor so slow that all of them hit the first layer.
        left = (harness.layers - (after or 0)) / (wanted - killed + 1)
        window *= 0.8 if (after or 0) - before > left else 1.1
    written += written_of(harness, arguments, "the end")
    harness.compare(harness.pack, "kills")
    if middle < wanted // 2:
        harness.fail(f"only {middle} of {killed} kills came in mid-conversion")
    allowed = int(1.1 * harness.pack_bytes) + killed * harness.layer_bytes
    harness.row(f"SIGKILL at random moments of one conversion of {harness.layers} layers",
                killed + 1, killed, written, allowed, f"{middle} kills after the first layer")


def space(harness):
    """A disk that is full at random points of one conversion, with a little more room each time."""
    wanted = max(50, harness.options.rounds // 2)
    mount = os.path.join(harness.work, "small")
    os.makedirs(mount, exist_ok=True)
    pack = os.path.join(mount, "x.moepack")
    arguments = ["convert", harness.source, "-o", pack, "--resume"]
    large = 3 * harness.pack_bytes
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={large}", "none", mount], check=True)

    def resize(size):
        return subprocess.run(["mount", "-o", f"remount,size={size // 4096 * 4096}", mount],
                              stderr=subprocess.DEVNULL).returncode == 0

    def used():
        facts = os.statvfs(mount)
        return (facts.f_blocks - facts.f_bfree) * facts.f_frsize

    refused = full = written = 0
    try:
        while refused + full < wanted:
            resize(large)
            if (refused + full) % 5 == 4:
                # Too little from the start: refused with the figures, before anything is written.
                resize(used() + 65536)
                result = harness.run(arguments)
                if result.returncode != 2 or "free" not in result.stderr:
                    harness.fail(f"a full disk: status {result.returncode}: {result.stderr}")
                refused += 1
                continue
            process = harness.start(arguments, PACE)
            # Room for all when the conversion begins; then a neighbour takes most of it.
            while process.poll() is None and not writes(process.pid):
                time.sleep(0.0005)
            left = max(harness.pack_bytes - used(), 0)
            room = harness.random.uniform(0, 2 * left / (wanted - refused - full))
            while process.poll() is None and not resize(int(used() + room)):
                pass
            count = 0
            while process.poll() is None:
                count = writes(process.pid) or count
                time.sleep(0.001)
            errors = process.stderr.read()
            written += count
            if process.returncode != 2 or "no space left" not in errors.lower():
                harness.fail(f"refusal {full + 1}: status {process.returncode}: {errors}")
                return
            full += 1
        resize(large)
        written += written_of(harness, arguments, "with room")
        harness.compare(pack, "full disks")
    finally:
        subprocess.run(["umount", mount], check=True)
    # The count of a run that ends by itself is a moment old: half a layer more is allowed for it.
    allowed = int(1.1 * harness.pack_bytes) + full * harness.layer_bytes
    harness.row(f"disk full at random points of one conversion of {harness.layers} layers",
                full + refused + 1, full + refused, written, allowed,
                f"{full} in mid-conversion, {refused} refused at the start")


def writes(pid):
    """Bytes that a process has written to files; 0 before the first."""
    try:
        with open(f"/proc/{pid}/io") as file:
            return int(dict(line.split(": ") for line in file.read().splitlines())["wchar"])
    except (OSError, KeyError, ValueError):
        return 0
