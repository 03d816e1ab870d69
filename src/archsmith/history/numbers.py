"""Formatting numbers, durations and names of metrics for people."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .objective import COSTS, Metric

_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
#: Metrics that are given for each class, with its name behind theirs.
_CLASSWISE = {"iou": "IoU", "ap": "AP"}
_NAMES = {
    "auc": "AUC",
    "bleu": "BLEU",
    "chrf": "chrF",
    "ece": "calibration error (ECE)",
    "ece_calibrated": "ECE at the fitted temperature",
    "elbo": "ELBO",
    "f1": "F1",
    "iou": "IoU",
    "macro_f1": "macro F1",
    "mae": "MAE",
    "map": "mAP",
    "map50": "mAP at IoU 0.5",
    "micro_f1": "micro F1",
    "miou": "mIoU",
    "psnr": "PSNR",
    "rmse": "RMSE",
    "ssim": "SSIM",
    "top5": "top-5 accuracy",
    "params": "parameters",
    "flops": "FLOPs",
    "latency_ms": "latency",
    "energy_mj": "energy",
    "memory_mb": "memory",
    "weights_mb": "weights",
    "peak_mb": "weights and memory",
    "seconds": "time",
}
_UNITS = {
    "latency_ms": "ms",
    "energy_mj": "mJ",
    "memory_mb": "MB",
    "weights_mb": "MB",
    "peak_mb": "MB",
    "seconds": "s",
}


def short(value: float | None, digits: int = 3) -> str:
    """A short form of a number: ``0.981``, ``12.5k``, ``1.2M``, ``3e−5``, ``2e16``; a dash for
    none.

    Args:
        value: any float; ``None`` and NaN give an em dash.
        digits: significant digits.
    """
    if value is None or math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0:
        return "0"
    if float(f"{size:.{digits}g}") >= 1e15:
        return _power(f"{value:.{digits - 1}e}")
    for scale, suffix in _LARGE:
        # Rounding can reach the next scale: 999,999 is 1M, not 1000k.
        if float(f"{size:.{digits}g}") >= scale:
            return _plain(value / scale, digits) + suffix
    if size < 1e-3:
        return _power(f"{value:.{digits - 1}g}")
    return _plain(value, digits)


def _power(text: str) -> str:
    """``1.50e+16`` as ``1.5e16``; a number without an exponent is unchanged."""
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return _signed(mantissa)
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{_signed(mantissa)}e{_signed(str(int(exponent)))}"


def _plain(value: float, digits: int) -> str:
    before = math.floor(math.log10(abs(value))) + 1
    text = f"{value:.{max(0, digits - before)}f}"
    return _signed(text.rstrip("0").rstrip(".") if "." in text else text)


def _signed(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text


def change(value: float, digits: int = 2) -> str:
    """A difference with its sign: ``+0.012``, ``−3.1k``, ``±0``."""
    if value == 0 or math.isnan(value):
        return "±0" if value == 0 else "—"
    return ("+" if value > 0 else "") + short(value, digits)


def fixed(value: float | None, decimals: int = 2) -> str:
    """A number with a fixed number of decimals: ``0.50``, ``−0.03``; a dash for none."""
    if value is None or math.isnan(value):
        return "—"
    # Adding zero removes the sign of minus zero.
    return _signed(f"{round(value, decimals) + 0.0:.{decimals}f}")


def duration(seconds: float) -> str:
    """Seconds as ``0.42s``, ``8.1s``, ``1m20s``, ``2h05m``, ``3d04h``."""
    if math.isnan(seconds) or math.isinf(seconds):
        return "—"
    if seconds < 9.95:
        return f"{seconds:.2f}s" if seconds < 1 else f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    minutes = round(seconds / 60)
    if minutes < 1440:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    hours = round(seconds / 3600)
    return f"{hours // 24}d{hours % 24:02d}h"


def metric_name(name: str) -> str:
    """A metric's name in words: ``latency_ms`` is ``latency``, ``val_loss`` is ``val loss``."""
    head, _, rest = name.partition("_")  # the IoU of a class may stand beside their mean
    words = f"{_CLASSWISE[head]} {rest}" if head in _CLASSWISE and rest else name
    return _NAMES.get(name, words.replace("_", " "))


def capital(text: str) -> str:
    """The text with its first letter capitalised and the others unchanged."""
    word = text.partition(" ")[0]
    return text if word[1:] != word[1:].lower() else text[:1].upper() + text[1:]


def metric_unit(name: str, known: Mapping[str, Metric] | None = None) -> str:
    """The unit of a metric, ``""`` if it has none."""
    metric = (known or {}).get(name) or COSTS.get(name)
    return metric.unit if metric and metric.unit else _UNITS.get(name, "")


def with_unit(name: str, value: float | None, known: Mapping[str, Metric] | None = None) -> str:
    """A metric's value with its unit: ``1.24 ms``."""
    if name == "seconds":
        return "—" if value is None else duration(value)
    digits = 3 if name in COSTS else 4
    unit = metric_unit(name, known)
    if unit == "MB" and value is not None and 0 < abs(value) < 0.1:
        unit, value = "kB", value * 1e3
    text = short(value, digits)
    return f"{text} {unit}" if unit and text != "—" else text


def axis_title(name: str, known: Mapping[str, Metric] | None = None) -> str:
    """A metric's name with its unit, for an axis or a column: ``latency (ms)``."""
    unit = metric_unit(name, known)
    return f"{metric_name(name)} ({unit})" if unit else metric_name(name)
