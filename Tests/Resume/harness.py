"""What the campaigns share: runs of moepack under the shim, and packs compared byte for byte."""

import filecmp
import os
import random
import shutil
import signal
import subprocess
import time

KINDS = ["kill", "killed", "eio", "enospc", "eintr", "short"]


def tree_bytes(top):
    return sum(os.path.getsize(os.path.join(root, name))
               for root, _, names in os.walk(top) for name in names)


class Harness:
    """A source, its undisturbed pack, and what went wrong."""

    def __init__(self, options, source, name):
        self.moepack = os.path.abspath(options.moepack)
        self.shim = os.path.abspath(options.shim)
        self.work = os.path.join(os.path.abspath(options.work), name)
        self.random = random.Random(options.seed)
        self.options = options
        self.failures = []
        self.fired = 0
        self.rows = []
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        self.source = os.path.join(self.work, "source.gguf")
        if callable(source):
            source(self, self.source)
        else:
            shutil.copyfile(source, self.source)
        self.whole = os.path.join(self.work, "whole.moepack")
        self.pack = os.path.join(self.work, "made.moepack")
        self.run(["convert", self.source, "-o", self.whole], check=True)
        self.pack_bytes = tree_bytes(self.whole)
        layers = [name for name in os.listdir(self.whole) if name.startswith("layer-")]
        self.layers = len(layers)
        self.layer_bytes = max(os.path.getsize(os.path.join(self.whole, name)) for name in layers)

    def environment(self, fault=None, log=None, pace=0):
        environment = dict(os.environ, LD_PRELOAD=self.shim, FAULT_FIRED=self.mark)
        if fault:
            environment["FAULT_AT"], environment["FAULT_KIND"] = str(fault[0]), fault[1]
        if log:
            environment["FAULT_LOG"] = log
        if pace:
            environment["FAULT_PACE"] = str(int(pace * 1e6))
        return environment

    @property
    def mark(self):
        return os.path.join(self.work, "fired")

    def run(self, arguments, check=False, fault=None, log=None):
        """Runs moepack to its end, and counts a fault that it met."""
        result = subprocess.run(
            [self.moepack] + arguments, env=self.environment(fault, log),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if os.path.exists(self.mark):
            os.remove(self.mark)
            self.fired += 1
        if check and result.returncode != 0:
            raise SystemExit(f"{arguments}: {result.stderr}")
        return result

    def start(self, arguments, pace):
        return subprocess.Popen(
            [self.moepack] + arguments, env=self.environment(pace=pace), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def fail(self, what):
        self.failures.append(what)
        print("WRONG:", what, flush=True)

    def compare(self, pack, what, trees=()):
        """The pack must have the files of the undisturbed one, byte for byte, and no others."""
        def files(top):
            return sorted(os.path.relpath(os.path.join(root, name), top)
                          for root, _, names in os.walk(top) for name in names)
        for made, whole in [(pack, self.whole), *trees]:
            if files(made) != files(whole):
                return self.fail(f"{what}: files are {files(made)}")
            for name in files(made):
                if not filecmp.cmp(os.path.join(made, name), os.path.join(whole, name), False):
                    self.fail(f"{what}: {name} differs")

    def calls(self, arguments):
        """Calls that change the disk, of a run with these arguments, and bytes written."""
        log = os.path.join(self.work, "calls")
        self.run(arguments, check=True, log=log)
        with open(log) as file:
            return tuple(int(word) for word in file.read().split())

    def check_status(self, result, what):
        if result.returncode not in (0, 1, 2, -signal.SIGKILL):
            self.fail(f"{what}: status {result.returncode}: {result.stderr}")
        elif result.returncode == 2 and not result.stderr.startswith("moepack: "):
            self.fail(f"{what}: message {result.stderr}")

    def row(self, campaign, runs, faults, written=None, allowed=None, note=""):
        def megabytes(count):
            return "" if count is None else f"{count / 1e6:.1f}"
        cells = [campaign, str(runs), str(faults), str(len(self.failures)),
                 megabytes(written), megabytes(allowed), note]
        self.rows.append("| " + " | ".join(cells) + " |")
        print(self.rows[-1], flush=True)
        if written is not None and written > allowed:
            self.fail(f"{campaign}: wrote {written} bytes, {allowed} are allowed")

    @staticmethod
    def stop(process):
        """Ends the process by SIGKILL; gives the bytes that it had written, or None if it had ended."""
        if process.poll() is not None:
            return None
        # Stopped first: what it writes after the count would be missing in it.
        process.send_signal(signal.SIGSTOP)
        written = 0
        try:
            while True:
                with open(f"/proc/{process.pid}/stat") as file:
                    state = file.read().rsplit(")", 1)[1].split()[0]
                if state in "TtZX":
                    break
                time.sleep(0.0002)
            with open(f"/proc/{process.pid}/io") as file:
                facts = dict(line.split(": ") for line in file.read().splitlines())
            written = int(facts["wchar"])
        except (OSError, KeyError, ValueError):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        return written if process.returncode == -signal.SIGKILL else None
