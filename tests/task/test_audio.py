"""Classification of sounds: WAV files of any kind, log-mel features, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from archsmith._support.errors import DataError, InputError
from archsmith.data.audio import as_samples, read_wav
from archsmith.space import choose
from archsmith.task import task, task_for
from archsmith.task.audio import AudioClassification, fitted
from archsmith.task.base import ReadOptions
from archsmith.task.logmel import LogMel, filters, masked
from archsmith.testing.task import TaskContract

from .signals import write_wav

TASK = AudioClassification("mels=8")


def small(channels: int, classes: int, height: int, width: int) -> nn.Module:
    wide = choose("width", [4, 8])
    return nn.Sequential(
        nn.Conv2d(channels, wide, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(wide, classes),
    )  # fmt: skip


def tones(folder: Path, count: int = 12) -> Path:
    for number in range(count):
        write_wav(folder / "low" / f"{number}.wav", 300 + 10 * number)
        write_wav(folder / "high" / f"{number}.wav", 1500 + 10 * number)
    return folder


class TestAudioTask(TaskContract):
    task = AudioClassification("mels=8")
    builder = staticmethod(small)

    def write(self, folder: Path) -> Path:
        return tones(folder / "tones")


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_samples_of_any_width_are_the_same_sound(tmp_path: Path, width: int) -> None:
    one = as_samples(read_wav(write_wav(tmp_path / "a.wav", 440, width=width)), 8000)
    two = as_samples(read_wav(write_wav(tmp_path / "b.wav", 440)), 8000)
    assert np.abs(one.astype(int) - two).max() <= (256 if width == 1 else 1)


def test_rates_and_channels_are_made_one_and_told(tmp_path: Path) -> None:
    tones(tmp_path)
    write_wav(tmp_path / "low" / "x.wav", 300, rate=16000, channels=2)
    data = TASK.read(str(tmp_path), ReadOptions())
    assert task_for(str(tmp_path)).name == "audio-classification"
    notes = "\n".join(data.summary)
    assert "1 recordings of 16,000 Hz resampled to 8,000 Hz" in notes
    assert "1 recordings of several channels" in notes
    one, two = (as_samples(read_wav(tmp_path / "low" / name), 8000) for name in ("x.wav", "0.wav"))
    assert np.abs(one.astype(int) - two)[50:-50].max() < 200  # of 16,000


@pytest.mark.parametrize("fault", ["cut", "empty", "text", "none"])
def test_damaged_files_are_told_or_skipped(tmp_path: Path, fault: str) -> None:
    path = tones(tmp_path) / "low" / "3.wav"
    content = path.read_bytes()
    faulty = {"cut": content[:600], "empty": b"", "text": b"hello " * 40, "none": content[:44]}
    path.write_bytes(faulty[fault])
    with pytest.raises(DataError) as error:
        TASK.read(str(tmp_path), ReadOptions())
    assert "3.wav" in error.value.where
    data = TASK.read(str(tmp_path), ReadOptions(unreadable="skip"))
    assert "1 unreadable files skipped: 3.wav" in data.summary
    assert sum(map(len, (data.train, data.validation, data.test))) == 23


def test_recordings_of_arrays_have_the_official_parts(tmp_path: Path) -> None:
    audio = np.random.RandomState(0).randint(-900, 900, 40 * 1500).astype(np.int16)
    keep = {
        "audio": audio,
        "offsets": np.arange(41) * 1500,
        "label": np.arange(40) % 2,
        "index": np.arange(40) % 20,
    }
    np.savez(tmp_path / "a.npz", **keep)
    data = TASK.read(str(tmp_path / "a.npz"), ReadOptions())
    assert data.drawn == ("validation",)
    assert len(data.test) == 10
    loaded = TASK.load_input(tmp_path / "a.npz", data.facts)
    assert torch.equal(loaded[3], torch.from_numpy(audio[4500:6000]))
    for key, value in (("offsets", np.arange(41) * 1400), ("audio", audio.astype(float))):
        np.savez(tmp_path / "b.npz", **{**keep, key: value})
        with pytest.raises(DataError, match=key):
            TASK.read(str(tmp_path / "b.npz"), ReadOptions())


def test_the_spectrum_is_that_of_the_fourier_transform() -> None:
    rate, window, hop = 8000, 256, 80
    clip = torch.randint(-9000, 9000, (1, 2000), generator=torch.Generator().manual_seed(0))
    facts = {"rate": rate, "window": window, "hop": hop, "mean": [0.0] * 20, "std": [1.0] * 20}
    found = LogMel(facts, picture=False)(clip.to(torch.int16))[0]
    hann = torch.hann_window(window)
    spectrum = torch.stft(
        clip[0] / 32768, window, hop, window=2 * hann / hann.sum(), center=False,
        return_complex=True,
    )  # fmt: skip
    expected = (filters(rate, window, 20)[1] @ spectrum.abs().square() + 1e-7).log()
    assert torch.allclose(found, expected, atol=1e-3)


def test_a_tone_is_in_its_band() -> None:
    facts = {"rate": 8000, "window": 256, "hop": 80, "mean": [0.0] * 20, "std": [1.0] * 20}
    steps = torch.arange(4000) / 8000
    loudest = [
        int(LogMel(facts)((16000 * torch.sin(2 * torch.pi * f * steps))[None]).mean(-1).argmax())
        for f in (200, 500, 1000, 2000, 3500)
    ]
    assert loudest == sorted(set(loudest))


def test_masks_hide_at_most_an_eighth_each_way() -> None:
    pictures = torch.ones(50, 1, 40, 64)
    hidden = masked(pictures, torch.Generator().manual_seed(0)) == 0
    assert hidden.any()
    rows, columns = hidden.all(-1).sum(-1).max(), hidden.all(-2).sum(-1).max()
    assert 0 < int(rows) <= 5
    assert 0 < int(columns) <= 8


def test_clips_keep_their_middle() -> None:
    samples = np.arange(10, dtype=np.int16)
    assert fitted(samples, 4).tolist() == [3, 4, 5, 6]
    assert fitted(samples[1:4], 6).tolist() == [0, 1, 2, 3, 0, 0]
    assert np.array_equal(fitted(samples, 10), samples)


def test_options_are_checked() -> None:
    assert task("audio-classification:view=series").default_space == "series"
    for text in ("view=sound", "mels=1", "seconds=-1", "rate=10"):
        with pytest.raises(InputError):
            AudioClassification(text)
