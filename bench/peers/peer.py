"""What the comparisons with peers share: their environment, our side, and the
alternation of the two."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REPEATS = 7
figures = sys.stdout


def enter_environment(name, requirements):
    """Makes a virtual environment with the requirements, once, and runs the
    calling script again inside of it."""
    folder = ROOT / "build" / "peers" / name
    if pathlib.Path(sys.prefix) == folder:
        # Standard output is for figures; peers write to it what they please.
        global figures
        figures = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        return
    stamp = folder / "requirements.txt"
    wanted = "\n".join(requirements) + "\n"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"peers: installing {' '.join(requirements)}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", *requirements], check=True,
                       stdout=sys.stderr)
        stamp.write_text(wanted)
    # One thread for each core is what peers are fastest with; waiting threads
    # must not spin while it is our turn.
    environment = {**os.environ, "OMP_NUM_THREADS": str(os.cpu_count()),
                   "OMP_WAIT_POLICY": "passive"}
    python = str(folder / "bin" / "python")
    os.execve(python, [python, *sys.argv], environment)


class Service:
    """Our side: gateway and two workers as processes (service_side.cc)."""

    def __init__(self, **flags):
        command = [str(ROOT / "build" / "release" / "bin" / "peers_service_side")]
        for name, value in flags.items():
            command.append(f"--{name}" if value is True else f"--{name}={value}")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True)
        self._expect()

    def _expect(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"our side ended with code {self._process.wait()}")
        return line

    def seconds(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return float(self._expect())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(name, target, tokens, ours, theirs, repeats=REPEATS):
    """Times both sides in turns; `ours` returns its seconds, `theirs` is a call.
    Reports how many times as fast as the peer we are."""
    for _ in range(2):
        ours()
        theirs()
    pairs = [(ours(), timed(theirs)) for _ in range(repeats)]
    ratio = statistics.median(their / our for our, their in pairs)
    our = statistics.median(our for our, _ in pairs)
    their = statistics.median(their for _, their in pairs)
    print(f"{name}: ours {tokens / our:.0f} tokens/s, theirs {tokens / their:.0f} tokens/s",
          file=sys.stderr)
    print(json.dumps({"name": name, "value": ratio, "unit": "ratio", "target": target,
                      "direction": "at_least", "met": ratio >= target}), file=figures, flush=True)
