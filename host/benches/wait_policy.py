"""What a training step costs under OpenMP's wait policies: alone, and beside two processes that are always busy.

    setsid python3 host/benches/wait_policy.py target/release/infomax

The time of a step is the difference between a long run and a short one, so that start-up and the last checkpoint do not count.
Medians over the rounds, in which the settings take turns. As root it asks the system to keep other work of the machine away.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

SETTINGS = {
    "as infomax sets it": {},
    "libgomp's default": {"GOMP_SPINCOUNT": "300000"},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    **{f"GOMP_SPINCOUNT={spins}": {"GOMP_SPINCOUNT": str(spins)} for spins in (100, 1000, 5000, 20000)},
}
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
BUSY = "while True:\n    pass"


def run(arguments, steps, setting):
    """CPU and wall seconds of one run, its children's included."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | setting
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.binary, "train", arguments.config, "--set", f"record.run_directory={folder}", "--set", f"train.steps={steps}"]
        for value in ["evaluation.untrained=false", "evaluation.every_steps=1000000", "record.plot=false", "record.report=false",
                      "optimizer.warmup_steps=0"]:
            command += ["--set", value]
        command += [word for value in arguments.extra for word in ("--set", value)]
        begun = time.monotonic()
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        message = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        if status != 0:
            sys.exit(message.decode())
        return usage.ru_utime + usage.ru_stime, time.monotonic() - begun


def keep_others_away():
    """Everything of this session before other sessions' work, where that is allowed."""
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write("-20")
        os.nice(-20)
    except OSError as error:
        print(f"other work of the machine is not kept away: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--config", default="configs/experiments/shapes-demo.toml")
    parser.add_argument("--short", type=int, default=20)
    parser.add_argument("--long", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=SETTINGS, help="these settings alone")
    parser.add_argument("--set", action="append", default=[], dest="extra")
    arguments = parser.parse_args()
    keep_others_away()
    for busy in (0, 2):
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
        try:
            figures = {name: [] for name in arguments.only or SETTINGS}
            for _ in range(arguments.rounds):
                for name in figures:
                    short, long = (run(arguments, steps, SETTINGS[name]) for steps in (arguments.short, arguments.long))
                    steps = arguments.long - arguments.short
                    figures[name].append([(b - a) / steps * 1e3 for a, b in zip(short, long)])
        finally:
            for other in others:
                other.kill()
                other.wait()
        print(f"beside {busy} busy processes, ms a step: CPU time, wall time", flush=True)
        for name, rounds in figures.items():
            cpu, wall = (statistics.median(column) for column in zip(*rounds))
            print(f"  {name:36} {cpu:7.0f} {wall:7.0f}   CPU of each round: {' '.join(f'{r[0]:.0f}' for r in rounds)}", flush=True)


if __name__ == "__main__":
    main()
