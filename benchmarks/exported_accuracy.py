"""Test accuracy of an exported image model, without archsmith.

    python benchmarks/exported_accuracy.py MODEL_FOLDER IDX_FOLDER [--json FILE]

Needs torch and numpy alone: it is meant for a Python in which archsmith is not installed, and says
so if it is. Reads the official test images (``t10k-…``) as they come, gives them to ``model.pt2``,
and compares with what ``architecture.json`` says was measured.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
from pathlib import Path

import numpy as np
import torch


def read(folder: Path, name: str, header: int) -> np.ndarray:
    path = next(p for p in (folder / name, folder / f"{name}.gz") if p.exists())
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return np.frombuffer(data, np.uint8, offset=header)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = read(options.images, "t10k-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28).copy()
    labels = torch.from_numpy(read(options.images, "t10k-labels-idx1-ubyte", 8).copy())
    model = torch.export.load(options.model / "model.pt2").module()
    hits = 0
    for start in range(0, len(labels), 500):
        chosen = model(torch.from_numpy(images[start : start + 500])).argmax(1)
        hits += int((chosen == labels[start : start + 500]).sum())
    accuracy = hits / len(labels)
    told = json.loads((options.model / "architecture.json").read_text())["metrics"]["test_accuracy"]
    installed = importlib.util.find_spec("archsmith") is not None
    print(f"archsmith installed: {installed}")
    print(f"test accuracy of model.pt2 on {len(labels)} images: {accuracy:.4f}")
    print(f"test accuracy after training:                {told:.4f}")
    print("equal" if abs(accuracy - told) < 1e-6 else "DIFFERENT")
    if options.json:
        found = {"pt2": accuracy, "told": told, "archsmith_installed": installed}
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
