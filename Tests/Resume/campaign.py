#!/usr/bin/env python3
"""Interrupts conversions in every way and resumes them; the pack must be that of an undisturbed one.

    campaign.py --moepack BIN --shim SO --work DIR [--source FILE.gguf] CAMPAIGN...

kills    N kills at random times over one conversion, each followed by --resume
faults   every write, fsync, rename, ... killed once, before and after, and failed with EIO, ENOSPC,
         EINTR and a short write
space    a file system that is full at N random points (tmpfs; as root)
consume  --consume, killed at random times and at every call, resumed, exported

Prints a line a campaign and ends with status 1 if any pack was wrong.
"""

import argparse
import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
import time

KINDS = ["kill", "killed", "eio", "enospc", "eintr", "short"]


class Campaign:
    def __init__(self, options):
        self.moepack = os.path.abspath(options.moepack)
        self.shim = os.path.abspath(options.shim)
        self.work = os.path.abspath(options.work)
        self.source = os.path.abspath(options.source)
        self.random = random.Random(options.seed)
        self.rounds = options.rounds
        self.every = options.every
        self.failures = []
        os.makedirs(self.work, exist_ok=True)
        self.whole = os.path.join(self.work, "whole.moepack")
        shutil.rmtree(self.whole, ignore_errors=True)
        start = time.time()
        self.run(["convert", self.source, "-o", self.whole], check=True)
        self.seconds = time.time() - start
        self.pack_bytes = sum(
            os.path.getsize(os.path.join(root, name))
            for root, _, names in os.walk(self.whole) for name in names)
        # What the program needs before it begins, and for one layer.
        start = time.time()
        self.run(["plan", self.source], check=True)
        self.start_seconds = time.time() - start
        layers = sum(name.startswith("layer-") for name in os.listdir(self.whole))
        self.layer_seconds = max(self.seconds - self.start_seconds, 0.01) / layers
        self.layer_bytes = max(
            os.path.getsize(os.path.join(self.whole, name)) for name in os.listdir(self.whole)
            if name.startswith("layer-"))

    def run(self, arguments, check=False, fault=None, log=None, **more):
        environment = dict(os.environ)
        if fault or log:
            environment["LD_PRELOAD"] = self.shim
        if fault:
            environment["FAULT_AT"], environment["FAULT_KIND"] = str(fault[0]), fault[1]
        if log:
            environment["FAULT_LOG"] = log
        result = subprocess.run(
            [self.moepack] + arguments, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        if check and result.returncode != 0:
            raise SystemExit(f"{arguments}: {result.stderr}")
        return result

    def fail(self, what):
        self.failures.append(what)
        print("WRONG:", what, flush=True)

    def compare(self, pack, what):
        """The pack must have the files of the undisturbed one, byte for byte, and no others."""
        def files(top):
            return sorted(
                os.path.relpath(os.path.join(root, name), top)
                for root, _, names in os.walk(top) for name in names)
        if files(pack) != files(self.whole):
            return self.fail(f"{what}: files are {files(pack)}")
        for name in files(pack):
            if not filecmp.cmp(os.path.join(pack, name), os.path.join(self.whole, name), False):
                self.fail(f"{what}: {name} differs")

    def calls(self, arguments):
        """Calls that change the disk, of a run with these arguments, and bytes written."""
        log = os.path.join(self.work, "calls")
        self.run(arguments, check=True, log=log)
        with open(log) as file:
            return tuple(int(word) for word in file.read().split())

    def opens(self, pack):
        """Whether the directory opens as a pack; it must then be a right one."""
        return os.path.exists(os.path.join(pack, "manifest.json"))

    def kills(self):
        pack = os.path.join(self.work, "kills.moepack")
        shutil.rmtree(pack, ignore_errors=True)
        written, killed, passes = 0, 0, 0
        while killed < self.rounds:
            log = os.path.join(self.work, "written")
            process = subprocess.Popen(
                [self.moepack, "convert", self.source, "-o", pack, "--resume"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=dict(os.environ, LD_PRELOAD=self.shim, FAULT_LOG=log))
            # Some kills come before the first layer of a run is done, most while one of the next is made.
            deadline = time.time() + self.random.uniform(
                0, self.start_seconds + 4 * self.layer_seconds)
            while process.poll() is None and time.time() < deadline:
                time.sleep(0.0005)
            if process.poll() is None:
                written += self.written(process.pid)
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                if self.opens(pack):
                    self.finish(pack, f"kill {killed}")
            else:
                if process.returncode != 0:
                    self.fail(f"resume after kill {killed}: {process.stderr.read().decode()}")
                    break
                self.compare(pack, f"kill {killed}")
                with open(log) as file:
                    written += int(file.read().split()[1])
                passes += 1
                # The conversion is over: the next kills hit another one.
                shutil.rmtree(pack)
        written += self.calls(["convert", self.source, "-o", pack, "--resume"])[1]
        self.compare(pack, "the end")
        conversions = passes + 1
        allowed = conversions * 1.1 * self.pack_bytes + killed * self.layer_bytes
        shutil.rmtree(pack)
        print(f"kills: {killed} kills over {conversions} conversions; {written / 1e6:.0f} MB written, "
              f"{allowed / 1e6:.0f} MB allowed: 1.1 packs a conversion, a layer a kill", flush=True)
        if written > allowed:
            self.fail("kills wrote too much")

    def finish(self, pack, what):
        self.run(["convert", self.source, "-o", pack, "--resume"], check=True)
        self.compare(pack, what)

    @staticmethod
    def written(pid):
        try:
            with open(f"/proc/{pid}/io") as file:
                facts = dict(line.split(": ") for line in file.read().splitlines())
            return int(facts["wchar"])
        except (OSError, KeyError, ValueError):
            return 0

    def faults(self):
        pack = os.path.join(self.work, "faults.moepack")
        arguments = ["convert", self.source, "-o", pack, "--threads", "1"]
        shutil.rmtree(pack, ignore_errors=True)
        count, written = self.calls(arguments)
        if written > 1.1 * self.pack_bytes:
            self.fail(f"a conversion wrote {written} bytes for a pack of {self.pack_bytes}")
        ended = dict.fromkeys(KINDS, 0)
        for call in range(1, count + 1, self.every):
            for kind in KINDS:
                shutil.rmtree(pack, ignore_errors=True)
                result = self.run(arguments, fault=(call, kind))
                what = f"call {call} of {count}, {kind}"
                if result.returncode == 0:
                    ended[kind] += 1
                elif result.returncode not in (2, -signal.SIGKILL):
                    self.fail(f"{what}: status {result.returncode}: {result.stderr}")
                elif result.returncode == 2 and not result.stderr.startswith("moepack: "):
                    self.fail(f"{what}: message {result.stderr}")
                resumed = self.run(arguments + ["--resume"])
                if resumed.returncode != 0:
                    self.fail(f"{what}: resume: {resumed.stderr}")
                    continue
                self.compare(pack, what)
        shutil.rmtree(pack)
        print(f"faults: {count} calls, every {self.every}, in {len(KINDS)} ways; went on without a "
              f"resume: {ended}", flush=True)

    def space(self):
        mount = os.path.join(self.work, "small")
        os.makedirs(mount, exist_ok=True)
        full = 0
        for round in range(self.rounds):
            room = self.random.randint(1 << 16, int(1.05 * self.pack_bytes))
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * self.pack_bytes}", "none", mount],
                           check=True)
            try:
                # Room for all when the conversion begins, so that it is not refused; then a neighbour
                # takes it.
                pack = os.path.join(mount, "x.moepack")
                process = subprocess.Popen(
                    [self.moepack, "convert", self.source, "-o", pack, "--threads", "2"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                while process.poll() is None and not os.path.exists(pack + "/convert.journal"):
                    time.sleep(0.0002)
                taken = os.path.join(mount, "neighbour")
                with open(taken, "wb") as file:
                    for _ in range(10):
                        free = os.statvfs(mount)
                        count = free.f_bavail * free.f_bsize - room
                        try:
                            if count > 0:
                                os.posix_fallocate(file.fileno(), 0, count)
                            break
                        except OSError:
                            # The conversion was faster.
                            os.ftruncate(file.fileno(), 0)
                            room = min(room, free.f_bavail * free.f_bsize // 2)
                errors = process.communicate()[1]
                if process.returncode == 2:
                    full += 1
                    if "no space left" not in errors and "free" not in errors:
                        self.fail(f"round {round}: {errors}")
                elif process.returncode != 0:
                    self.fail(f"round {round}: status {process.returncode}: {errors}")
                os.remove(taken)
                self.run(["convert", self.source, "-o", pack, "--resume"], check=True)
                self.compare(pack, f"full disk {round}")
            finally:
                subprocess.run(["umount", mount], check=True)
        print(f"space: {self.rounds} disks, {full} of them full in mid-conversion", flush=True)

    def consume(self):
        """Kills a consuming conversion at every call, and at random times with several threads."""
        pack = os.path.join(self.work, "consume.moepack")
        copy = os.path.join(self.work, os.path.basename(self.source))
        back = os.path.join(self.work, "back.gguf")
        base = ["convert", copy, "-o", pack, "--consume", "--yes"]

        def fresh():
            shutil.rmtree(pack, ignore_errors=True)
            shutil.copyfile(self.source, copy)

        def check(what):
            resumed = self.run(base + ["--resume"])
            if resumed.returncode != 0:
                return self.fail(f"{what}: resume: {resumed.stderr}")
            self.compare(pack, what)
            if os.stat(copy).st_blocks != 0:
                self.fail(f"{what}: {os.stat(copy).st_blocks} blocks of the source are left")

        fresh()
        count, _ = self.calls(base + ["--threads", "1"])
        check("undisturbed")
        self.run(["export", pack, "-o", back, "--overwrite"], check=True)
        if not filecmp.cmp(back, self.source, False):
            self.fail("consume: the export is not the source")
        for call in range(1, count + 1, self.every):
            for kind in KINDS:
                fresh()
                self.run(base + ["--threads", "1"], fault=(call, kind))
                check(f"consume, call {call} of {count}, {kind}")
        kills = 0
        for round in range(self.rounds):
            fresh()
            for _ in range(2):
                process = subprocess.Popen(
                    [self.moepack] + base + ["--resume"],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(self.random.uniform(0, self.seconds))
                if process.poll() is None:
                    kills += 1
                process.send_signal(signal.SIGKILL)
                process.wait()
            check(f"consume, kill {round}")
        shutil.rmtree(pack)
        for path in (copy, back):
            os.remove(path)
        print(f"consume: {count} calls, every {self.every}, in {len(KINDS)} ways; {kills} kills",
              flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("moepack", "shim", "work", "source"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rounds", type=int, default=200, help="random kills, full disks")
    parser.add_argument("--every", type=int, default=1, help="faults: every so many calls")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("campaigns", nargs="+", choices=["kills", "faults", "space", "consume"])
    options = parser.parse_args()
    campaign = Campaign(options)
    for name in options.campaigns:
        getattr(campaign, name)()
    shutil.rmtree(campaign.whole)
    sys.exit(1 if campaign.failures else 0)


main()
