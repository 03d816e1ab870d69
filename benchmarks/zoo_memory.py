"""Peak memory of building the spaces of the zoo.

    python benchmarks/zoo_memory.py [--side 32 224] [--spaces NAME ...] [--json FILE]

For each space for images, in a process of its own: reading the space, its default and five random
architectures, with weights, one after the other. Peaks are of the whole process, torch included
(about 220 MB). The target is 1 GB.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import archsmith as nas
from archsmith.zoo import spaces

LIMIT = 1000.0


def high_water() -> float:
    """Peak resident memory of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure(name: str, side: int) -> dict[str, Any]:
    began = time.process_time()
    space = nas.Space(spaces.get(name), channels=3, classes=10, height=side, width=side)
    rng = random.Random(0)
    params = [
        sum(p.numel() for p in space.build(architecture).parameters())
        for architecture in [space.default(), *(space.sample(rng) for _ in range(5))]
    ]
    seconds = time.process_time() - began
    return {"building_mb": high_water(), "seconds": seconds, "largest": max(params)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--spaces", nargs="+", default=None)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.spaces[0], options.side[0])))
        return
    rows: dict[str, Any] = {}
    print("| space | side | building, MB | seconds | parameters of the largest of six |")
    print("|---|---|---|---|---|")
    for name in options.spaces or spaces.names():
        for side in options.side:
            command = [sys.executable, __file__, "--one", "--spaces", name, "--side", str(side)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"| {name} | {side} | {done.stderr.strip().splitlines()[-1][:80]} | | |")
                continue
            row = rows[f"{name} {side}"] = json.loads(done.stdout.splitlines()[-1])
            over = "" if row["building_mb"] < LIMIT else " (over)"
            print(
                f"| {name} | {side} | {row['building_mb']:,.0f}{over} | {row['seconds']:.1f} "
                f"| {row['largest'] / 1e6:.2f} M |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
