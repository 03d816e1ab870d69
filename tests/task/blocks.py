"""A small set of images with boxes: bright red and blue blocks on grey noise."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("red", "blue")


def drawn(rng: np.random.Generator, width: int = 96, height: int = 64) -> tuple[Any, list[Any]]:
    """Pixels (height, width, 3) and rows of class, xmin, ymin, xmax, ymax."""
    pixels = rng.integers(60, 100, (height, width, 3), dtype=np.uint8)
    rows = []
    # One in each half, so that none hides another.
    for half in (0, 1):
        number = int(rng.integers(2))
        wide, high = int(rng.integers(14, 34)), int(rng.integers(14, 34))
        x = half * width // 2 + int(rng.integers(0, width // 2 - wide))
        y = int(rng.integers(0, height - high))
        pixels[y : y + high, x : x + wide] = ((220, 40, 40), (40, 40, 220))[number]
        rows.append([number, x, y, x + wide, y + high])
    return pixels, rows


def encoded(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def arrays(count: int, seed: int = 0) -> dict[str, Any]:
    """What an ``.npz`` file holds."""
    rng = np.random.default_rng(seed)
    files, rows = [], []
    for image in range(count):
        pixels, found = drawn(rng)
        files.append(encoded(pixels))
        rows += [[image, *row] for row in found]
    ends = np.cumsum([0, *map(len, files)])
    return {
        "jpeg": np.frombuffer(b"".join(files), dtype=np.uint8),
        "offsets": ends,
        "boxes": np.array(rows, dtype=np.int32),
        "classes": np.array(NAMES),
        "split": np.array(
            [("train", "train", "train", "val", "test")[n % 5] for n in range(count)]
        ),
    }


def save(path: Path, count: int, **changed: Any) -> Path:
    """An ``.npz`` file; ``None`` leaves a key out."""
    given = arrays(count) | changed
    np.savez(path, **{key: value for key, value in given.items() if value is not None})
    return path


def save_voc(root: Path, count: int) -> Path:
    """The same as a folder of Pascal VOC with lists of the parts."""
    rng = np.random.default_rng(0)
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        pixels, rows = drawn(rng)
        stem = f"{number:06}"
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{stem}.png")
        objects = [
            voc_object(NAMES[kind], x + 1, y + 1, wide, high) for kind, x, y, wide, high in rows
        ]
        text = annotation(f"{stem}.png", "".join(objects), pixels.shape[1], pixels.shape[0])
        (root / "Annotations" / f"{stem}.xml").write_text(text, encoding="utf-8")
        lists[("train", "train", "train", "val", "test")[number % 5]].append(stem)
    for name, stems in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("\n".join(stems) + "\n")
    return root


def voc_object(name: str, *corners: float, more: str = "") -> str:
    """An object of an annotation file, its corners xmin, ymin, xmax and ymax counted from 1."""
    ends = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{end}>{value}</{end}>" for end, value in ends)
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


def annotation(file: str, objects: str, width: int, height: int) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{file}</filename>{size}{objects}</annotation>"
