#!/usr/bin/env python3
"""Runs benchmark programs and collects their figures: see ../bench.sh.

A program is build/release/bin/bench_NAME, or bench/peers/NAME.py for `peers`.
It prints one line of JSON for each figure (bench/harness/figure.h).
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = ROOT / "build" / "release" / "bin"
RESULTS = ROOT / "bench" / "results" / "latest.json"


def programs():
    return sorted(path.name.removeprefix("bench_") for path in BINARIES.glob("bench_*")
                  if not path.name.endswith("_test"))


def commands(name, repeats):
    if name == "peers":
        scripts = sorted((ROOT / "bench" / "peers").glob("*_peer.py"))
        return [[sys.executable, str(script)] for script in scripts]
    command = [str(BINARIES / f"bench_{name}")]
    return [command + (["--repeats", str(repeats)] if repeats else [])]


def run(command):
    """The figures that a program prints, and whether it ran to its end."""
    figures = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for line in process.stdout:
            figure = json.loads(line)
            figure["command"] = " ".join(os.path.relpath(part, ROOT) if part.startswith("/")
                                         else part for part in command)
            figures.append(figure)
    return figures, process.returncode == 0


def print_table(figures):
    def cell(value):
        return "-" if value is None else f"{value:.3g}"

    width = max([len(figure["name"]) for figure in figures] + [len("FIGURE")])
    print(f"{'FIGURE':<{width}}  {'VALUE':>8}  {'TARGET':>10}  {'UNIT':<10}  MET")
    for figure in figures:
        sign = ">=" if figure["direction"] == "at_least" else "<="
        target = "-" if figure["target"] is None else f"{sign} {cell(figure['target'])}"
        met = {True: "yes", False: "NO", None: "-"}[figure["met"]]
        print(f"{figure['name']:<{width}}  {cell(figure['value']):>8}  {target:>10}  "
              f"{figure['unit']:<10}  {met}")


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform()}


def commit():
    result = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return result.stdout.strip() or None


def main():
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="programs; default: all but peers")
    parser.add_argument("--list", action="store_true", help="print the programs' names")
    parser.add_argument("--repeats", type=int, default=0, help="repeats of each side")
    arguments = parser.parse_args()
    known = programs() + ["peers"]
    if arguments.list:
        print("\n".join(known))
        return 0
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"got '{unknown[0]}', expected one of {', '.join(known)}")
    figures, failed = [], []
    for name in arguments.names or programs():
        for command in commands(name, arguments.repeats):
            print(f"-- {' '.join(command)}", file=sys.stderr)
            found, ran = run(command)
            figures += found
            if not ran:
                failed.append(command[-1] if name == "peers" else command[0])
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(), "machine": machine(), "figures": figures}, indent=2) + "\n")
    print_table(figures)
    for command in failed:
        print(f"bench.sh: {command} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
