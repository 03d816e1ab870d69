"""Small series and sounds: sines of two frequencies in noise, and seasons with a trend."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

NAMES = ("slow", "fast")


def sines(count: int, length: int = 40, channels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Series (count, channels, length) and their classes (count,)."""
    rng = np.random.RandomState(0)
    labels = np.arange(count) % 2
    steps = np.arange(length)
    phase = rng.rand(count, channels, 1) * 6
    waves = np.sin(steps * (0.3 + 0.5 * labels[:, None, None]) + phase)
    return 5 + 2 * waves + 0.2 * rng.randn(count, channels, length), labels


def write_ts(path: Path, values: list[np.ndarray], labels: np.ndarray) -> Path:
    """A file in the text format of the archives."""
    lines = ["# made by a test", "@problemName sines", "@timeStamps false", "@missing false"]
    lines += [f"@classLabel true {' '.join(NAMES)}", "@data"]
    for one, label in zip(values, labels, strict=True):
        channels = [",".join(f"{v:.5g}" if np.isfinite(v) else "?" for v in row) for row in one]
        lines.append(":".join([*channels, NAMES[label]]))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_wav(path: Path, tone: float, rate: int = 8000, width: int = 2, channels: int = 1) -> Path:
    """A tone of 0.2 s in a WAV file with samples of so many bytes."""
    steps = np.arange(rate // 5) / rate
    wave_ = np.round(0.5 * np.sin(2 * np.pi * tone * steps) * (2 ** (8 * width - 1) - 1))
    values = wave_.astype(np.int64) + (128 if width == 1 else 0)
    content = values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(content[:, None], channels, axis=1).tobytes())
    return path


def seasons(count: int, start: str = "2024-01-01", season: int = 7) -> list[tuple[str, float]]:
    """Dates and values with a weekly season and a trend."""
    days = np.datetime64(start) + np.arange(count)
    rng = np.random.RandomState(1)
    values = 20 + 0.05 * np.arange(count) + 4 * np.sin(2 * np.pi * np.arange(count) / season)
    return list(zip(days.astype(str).tolist(), values + 0.3 * rng.randn(count), strict=True))
