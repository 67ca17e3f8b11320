"""Times how soon commands answer; see README.md beside this file."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("--help", "submit --help", "status", "list", "plan", "jobs", "timeline")
LIMITS_S = {"--help": 0.2, "status": 1.0}
"""Seconds on a computer that does nothing else; judged are those of CPU, which other work changes least."""
RUNS = 5


@dataclass(frozen=True)
class Spent:
    """Seconds of one run, children included, and how it ended."""

    wall: float
    cpu: float
    status: int


def main() -> int:
    """Measure; return 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", "--inventory", help="the cluster; default: inventories/local.yml")
    parser.add_argument("--command", action="append", help=f"instead of {', '.join(COMMANDS)}")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of which the best counts; default: {RUNS}")
    options = parser.parse_args()
    cluster = ["-i", options.inventory] if options.inventory else []
    program = str(ROOT / "muster")
    run([program, "--help"])  # sets up what is missing, and compiles
    missed = []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; best of {options.runs}")
    print(f"{'command':<16} {'wall s':>7} {'CPU s':>7} {'status':>7}")
    bare = best([sys.executable, "-I", "-c", "pass"], options.runs)
    print(f"{'Python alone':<16} {bare.wall:>7.3f} {bare.cpu:>7.3f} {bare.status:>7}", flush=True)
    for command in options.command or COMMANDS:
        spent = best([program, *cluster, *command.split()], options.runs)
        print(f"{command:<16} {spent.wall:>7.3f} {spent.cpu:>7.3f} {spent.status:>7}", flush=True)
        if spent.cpu > LIMITS_S.get(command, spent.cpu):
            missed.append(f"{command}: {spent.cpu:.3f} s of CPU, not {LIMITS_S[command]:g}")
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


def best(command: list[str], runs: int) -> Spent:
    """Return the least of several runs."""
    spent = [run(command) for _ in range(runs)]
    return Spent(min(one.wall for one in spent), min(one.cpu for one in spent), spent[-1].status)


def run(command: list[str]) -> Spent:
    """Run a command in the project's folder; nothing that it prints is shown."""
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Spent(time.monotonic() - begin, used.ru_utime + used.ru_stime, process.returncode)


if __name__ == "__main__":
    sys.exit(main())
