"""Sounds with classes: folders of WAV files, and ``.npz`` files of concatenated recordings."""

from __future__ import annotations

import wave
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._support.errors import DataError
from . import arrays
from .folder import Kind, files_in, folder_classes, holds_class_folders
from .names import shown
from .raw import TEST, TRAIN, expect_room, labelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .raw import Unreadable

#: Hertz that recordings of an ``.npz`` file without ``rate`` are taken to have.
USUAL_RATE = 8000
#: Recordings with a smaller ``index`` are the official test part of the Free Spoken Digit Dataset.
_TEST_INDEX = 5

SOUNDS = Kind({".wav"}, "sounds")


@dataclass(frozen=True)
class Clips:
    """Recordings with a class each.

    Attributes:
        samples: int16, of one channel, of each recording.
        rate: samples per second.
        labels: int64 (n,), indices into ``class_names``.
        parts: as in :class:`~archsmith.data.raw.Images`.
    """

    name: str
    samples: list[NDArray[np.int16]]
    rate: int
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: NDArray[np.int8]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recording:
    """A WAV file: samples (frames, channels) in the range of int16, and what they were."""

    samples: NDArray[np.float64]
    rate: int
    bits: int


def sounds_in(folder: Path) -> list[Path]:
    """The WAV files below a folder, in order, without hidden ones."""
    return list(files_in(folder, SOUNDS))


def has_sounds(place: Path) -> bool:
    """Whether a path is a folder of folders of WAV files, or an ``.npz`` of recordings."""
    if place.is_dir():
        return holds_class_folders(place, SOUNDS)
    if place.suffix.lower() != ".npz":
        return False
    with arrays.open_archive(place) as archive:
        return {"audio", "offsets", "label"} <= set(archive.files)


def read_wav(path: Path) -> Recording:
    """A WAV file with PCM samples of 8, 16, 24 or 32 bits.

    Raises:
        DataError: another format, a damaged file, or one without samples.
    """
    expected = "a WAV file with PCM samples of 8, 16, 24 or 32 bits"
    try:
        with wave.open(str(path), "rb") as file:
            form = file.getparams()
            content = file.readframes(form.nframes)
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(str(path), expected, str(error) or "the end of the file") from error
    frame = form.nchannels * form.sampwidth
    if not content or len(content) != form.nframes * frame:
        got = f"{len(content) // frame:,}"
        raise DataError(str(path), f"{max(form.nframes, 1):,} samples a channel", got)
    raw = np.frombuffer(content, dtype=np.uint8).reshape(-1, form.sampwidth)
    if form.sampwidth == 1:
        values = (raw[:, 0].astype(np.float64) - 128) * 256
    else:  # little-endian; the lowest byte of four is 0 where there are fewer
        wide = np.zeros((len(raw), 4), dtype=np.uint8)
        wide[:, 4 - form.sampwidth :] = raw
        values = wide.view("<i4")[:, 0].astype(np.float64) / 65536
    return Recording(values.reshape(-1, form.nchannels), form.framerate, 8 * form.sampwidth)


def as_samples(recording: Recording, rate: int) -> NDArray[np.int16]:
    """A recording as int16 samples of one channel, the mean of all, at another rate."""
    mono = recording.samples.mean(1)
    if recording.rate != rate:
        from scipy.signal import resample_poly

        ratio = Fraction(rate, recording.rate)
        mono = resample_poly(mono, ratio.numerator, ratio.denominator)
    samples: NDArray[np.int16] = np.round(mono).clip(-32768, 32767).astype(np.int16)
    return samples


def read_clips(place: Path, rate: int, unreadable: Unreadable) -> Clips:
    """Read a folder of class folders, within folders of parts if there are any, or an ``.npz``.

    Args:
        rate: that recordings are resampled to; 0 for the most frequent one.
        unreadable: whether WAV files that cannot be read are an error, or skipped with a note.

    Raises:
        DataError: no recordings, fewer than two classes, or files that cannot be read.
    """
    if not place.is_dir():
        return _read_arrays(place, rate)
    found, names = folder_classes(place, SOUNDS)
    expect_room(str(place), 2 * sum(one.path.stat().st_size for one in found))
    read, kept, skipped = [], [], []
    for one in found:
        try:
            read.append(read_wav(one.path))
            kept.append(one)
        except DataError as error:
            if unreadable == "refuse":
                hint = "repair or remove it, or skip such files: --unreadable skip"
                raise DataError(error.where, error.expected, error.got, hint) from error
            skipped.append(shown(one.path.name))
    if not read:
        raise DataError(str(place), "WAV files that can be read", "none")
    rate = rate or Counter(recording.rate for recording in read).most_common(1)[0][0]
    labels = np.array([one.label for one in kept], dtype=np.int64)
    samples = [as_samples(recording, rate) for recording in read]
    parts = np.array([one.part for one in kept], dtype=np.int8)
    return Clips(
        shown(place.name),
        samples,
        rate,
        labels,
        tuple(map(shown, names)),
        parts,
        _notes(read, rate, skipped),
    )


def _notes(read: Sequence[Recording], rate: int, skipped: Sequence[str]) -> tuple[str, ...]:
    mixed = sum(one.samples.shape[1] > 1 for one in read)
    others = Counter(one.rate for one in read if one.rate != rate)
    deep = Counter(one.bits for one in read if one.bits > 16)
    notes = []
    if mixed:
        notes.append(f"{mixed:,} recordings of several channels: their mean is used")
    for other, count in sorted(others.items()):
        notes.append(f"{count:,} recordings of {other:,} Hz resampled to {rate:,} Hz")
    for bits, count in sorted(deep.items()):
        notes.append(f"{count:,} recordings of {bits} bits rounded to 16")
    if skipped:
        more = ", ..." if len(skipped) > 3 else ""
        notes.append(f"{len(skipped):,} unreadable files skipped: {', '.join(skipped[:3])}{more}")
    return tuple(notes)


def _read_arrays(path: Path, rate: int) -> Clips:
    with arrays.open_archive(path) as archive:
        keys = set(archive.files)
        if not {"audio", "offsets", "label"} <= keys:
            expected, got = "keys audio, offsets and label", ", ".join(sorted(keys))
            raise DataError(str(path), expected, f"keys {got}")
        wanted = keys & {"audio", "offsets", "label", "rate", "index", "classes"}
        read = {key: arrays.load(path, archive, key) for key in wanted}
    samples = cut(path, read["audio"], read["offsets"])
    if read["label"].shape != (len(samples),):
        expected = f"{len(samples):,} classes, one for each recording"
        raise DataError(f"{path} label", expected, f"shape {read['label'].shape}")
    classes = read.get("classes")
    names = None if classes is None else tuple(arrays.texts(f"{path} classes", classes).tolist())
    labels, names = labelled(read["label"], f"{path} label", names)
    notes = []
    stored = int(read["rate"]) if "rate" in read else 0
    if rate and stored and rate != stored:
        expected = f"{stored:,} Hz, as the file says"
        raise DataError(f"{path} rate", expected, f"{rate:,}", "leave the option rate out")
    if not (rate or stored):
        notes.append(f"no rate in the file: taken to be {USUAL_RATE:,} Hz (option rate)")
    parts = np.full(len(samples), TRAIN, dtype=np.int8)
    if "index" in read and read["index"].shape == parts.shape:
        parts[read["index"] < _TEST_INDEX] = TEST
        notes.append(f"test part: recordings with an index below {_TEST_INDEX}")
    return Clips(
        shown(path.stem), samples, rate or stored or USUAL_RATE, labels, names, parts, tuple(notes)
    )


def cut(path: Path, audio: NDArray[Any], offsets: NDArray[Any]) -> list[NDArray[np.int16]]:
    """Recordings of concatenated int16 samples.

    Args:
        offsets: where each begins, and where the last one ends.

    Raises:
        DataError: other samples, or offsets that do not fit them.
    """
    if audio.ndim != 1 or audio.dtype != np.int16:
        raise DataError(f"{path} audio", "int16 samples", f"{audio.dtype} {audio.shape}")
    whole = offsets.ndim == 1 and offsets.dtype.kind in "iu" and len(offsets) > 1
    if not whole or offsets[0] != 0 or offsets[-1] != len(audio) or (np.diff(offsets) < 1).any():
        expected = f"ascending offsets from 0 to {len(audio):,}"
        raise DataError(f"{path} offsets", expected, f"{offsets.dtype} {offsets.shape}")
    return np.split(audio, offsets[1:-1])
