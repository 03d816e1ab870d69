"""The command ``archsmith features``: deep features of data from an exported model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .._support.errors import DataError, InputError
from .output import interruptible, only_json, print_json, say

if TYPE_CHECKING:
    from torch import Tensor

    from ..space import Space
    from ..task.base import Data, ReadOptions, Task

#: Parts of the data, in the order in which a file of features holds them.
PARTS = ("train", "validation", "test")


def features(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that export wrote.")],
    data: Annotated[str, typer.Argument(help="Data set by name, folder or file, as for search.")],
    to: Annotated[
        Path | None, typer.Option(help="File for the features: .npz or .parquet.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer to read; default: the one before the classifier.")
    ] = None,
    pool: Annotated[
        str, typer.Option(help="Pooling: mean, max, mean+max, first, last, hidden or flatten.")
    ] = "auto",
    normalise: Annotated[
        str | None, typer.Option(help="Normalisation: l2, power or standard.")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="List the layers.")] = False,
    map: Annotated[Path | None, typer.Option(help="SVG file for a two-dimensional map.")] = None,
    method: Annotated[str, typer.Option(help="Method of the map: pca, tsne or umap.")] = "pca",
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="Fit probes on the training and validation parts, score on the test."
        ),
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder to cache features in.")] = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda, cuda:1, ...")] = "auto",
    split_seed: Annotated[int, typer.Option(help="Seed of the data split.")] = 0,
    target: Annotated[str | None, typer.Option(help="Column of labels (tables).")] = None,
    decimal: Annotated[
        Literal["point", "comma"] | None,
        typer.Option(help="Decimal sign of ambiguous numbers such as 1,288 (tables)."),
    ] = None,
    channels: Annotated[
        Literal["first", "last"] | None,
        typer.Option(help="Position of the channel axis, if ambiguous (.npz of images)."),
    ] = None,
    space: Annotated[str | None, typer.Option(help="The model's space, if it is your own.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Extract deep features of data with an exported model; save, probe or map them."""
    from ..export import load_model
    from ..export.predict import fitting
    from ..export.record import read_record
    from ..task import task as find_task
    from ..task.base import ReadOptions
    from ..task.problem import pick_device
    from ..transfer.features import Features, save_features
    from .screen import Screen

    if to is None and map is None and not probe and not layers:
        raise InputError(
            "features",
            "something to do with them",
            "nothing",
            "give --to FILE, --map FILE, --probe or --layers",
        )
    if pool == "none":
        raise InputError("--pool", "one vector for each example", "none", "--pool flatten")
    _check_files(to, map, method)
    record = read_record(folder)
    task, facts = find_task(record["task"]), record["facts"]
    with interruptible("nothing was written"), only_json(as_json), Screen() as screen:
        model = load_model(folder, space=_space(space, record) if space else None)
        reader = Features(
            model,
            layer,
            pool=pool,
            normalise=normalise,
            device=pick_device(device),
            cache=cache,
            prepare=lambda inputs: _prepare(folder, task, inputs, facts),
        )
        options = ReadOptions(seed=split_seed, target=target, decimal=decimal, channels=channels)
        with fitting(folder):
            read = _read(task, facts, data, options)
        if probe:
            _check_probe(read)
        if normalise == "standard":
            reader.fit(read.inputs[read.index("train")])
        count = len(read.inputs)
        vectors = reader(read.inputs, progress=lambda n, _: screen.step(f"features {n} of {count}"))
        document: dict[str, Any] = {
            "data": read.name,
            "layer": reader.layer,
            "pool": pool,
            "normalise": normalise,
            "examples": count,
            "features": vectors.shape[1],
        }
        if to is not None:
            save_features(to, vectors, read.labels, read.names, parts=read.parts)
            document["file"] = str(to)
        if map is not None:
            screen.step(f"map by {method}")
            _draw(vectors, read, method, map)
            document["map"] = str(map)
        if probe:
            screen.step("probes")
            document["probes"] = _probes(vectors, read)
        if layers:
            document["layers"] = [asdict(row) for row in reader.layers(read.inputs)]
    if as_json:
        print_json(document)
    else:
        _print(document)


@dataclass(frozen=True)
class _Read:
    """Data as the model takes it: the raw inputs of all parts, concatenated.

    Attributes:
        labels: classes (n,), ``None`` if there are none.
        parts: the part of each example, ``None`` for inputs that have no parts.
    """

    name: str
    inputs: Tensor
    labels: Tensor | None = None
    names: list[str] | None = None
    parts: list[str] | None = None

    def index(self, *parts: str) -> list[int]:
        """Indices of the examples of these parts; of all examples if there are no parts."""
        own = self.parts or [parts[0]] * len(self.inputs)
        return [i for i, part in enumerate(own) if part in parts]


def _read(task: Task, facts: Mapping[str, Any], source: str, options: ReadOptions) -> _Read:
    """Read labelled data as a search does, or inputs as a prediction does."""
    import torch

    from ..data import datasets
    from ..task.contracts import Unlabelled, deployment_of
    from ..task.reading import expect_used

    # Pairs of views, or parts without a common class, only matter during training.
    task = task.labelled() if isinstance(task, Unlabelled) else task
    if source not in datasets.names() and Path(source).exists() and not task.suits(source, options):
        return _Read(Path(source).stem, deployment_of(task).load_input(Path(source), facts))
    expect_used(task, source, options)
    if facts.get("height") == facts.get("width"):
        # Images of a folder are resized to the size that the model was trained on.
        options = replace(options, image_size=facts.get("height"))
    data = task.read(source, options)
    _check_like(task, facts, data)
    splits = {part: getattr(data, part) for part in PARTS}
    targets = torch.cat([part.targets for part in splits.values()])
    # A class for each pixel or character does not label the example as a whole.
    classes = targets.dim() == 1 and not targets.is_floating_point()
    return _Read(
        data.name,
        torch.cat([part.inputs for part in splits.values()]),
        targets if classes else None,
        data.facts.get("class_names") if classes else None,
        [name for name, part in splits.items() for _ in range(len(part))],
    )


def _prepare(folder: Path, task: Task, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
    from ..export.predict import fitting

    with fitting(folder):
        prepared: Tensor = task.prepare(inputs, facts)
        return prepared


def _check_like(task: Task, facts: Mapping[str, Any], data: Data) -> None:
    """Refuse data that the model cannot take."""
    expected, got = (tuple(task.example(f).shape[1:]) for f in (facts, data.facts))
    if expected != got:
        raise DataError(data.name, f"inputs of shape {expected}, as the model takes them", str(got))
    if facts.get("columns") != data.facts.get("columns"):
        names = ", ".join(column["name"] for column in facts["columns"][:6])
        raise DataError(
            data.name,
            f"the columns and categories that the model was trained on ({names}, ...)",
            "different ones",
        )


def _check_probe(read: _Read) -> None:
    if read.labels is None or read.parts is None:
        raise InputError("--probe", "data with classes", f"{read.name} has none")


def _probes(vectors: Tensor, read: _Read) -> list[dict[str, Any]]:
    """Scores of probes that are fitted on the training and validation parts."""
    from ..transfer.features import probe

    assert read.labels is not None
    one, two = read.index("train", "validation"), read.index("test")
    scores = probe(vectors[one], read.labels[one], vectors[two], read.labels[two])
    names = read.names or []
    return [
        {
            "probe": score.probe,
            "accuracy": score.accuracy,
            "chosen": score.chosen,
            "per_class": {names[i] if names else str(i): v for i, v in score.per_class.items()},
        }
        for score in scores
    ]


def _draw(vectors: Tensor, read: _Read, method: str, path: Path) -> None:
    from ..report.plane import map_picture
    from ..transfer.features import feature_map

    picture = feature_map(vectors, read.labels, method, names=read.names)
    map_picture(picture, f"Features of {read.name}", path)


def _check_files(to: Path | None, map: Path | None, method: str) -> None:
    """Refuse output files that could not be written once the work is done."""
    from .._support.errors import unknown
    from ..transfer.features.files import check_path
    from ..transfer.features.maps import METHODS, require_umap

    if to is not None:
        check_path(to)
    if method not in METHODS:
        raise unknown("--method", method, METHODS)
    if map is not None:
        if map.suffix != ".svg" or not map.resolve().parent.is_dir():
            raise InputError("--map", "an .svg file in an existing folder", str(map))
        if method == "umap":
            require_umap()


def _space(name: str, record: Mapping[str, Any]) -> Space:
    from ..task.problem import open_space

    return open_space(name, {}, record["space"]["arguments"])


def _print(document: dict[str, Any]) -> None:
    layer = document["layer"] or "(the model's output)"
    say(f"{document['examples']:,} examples, {document['features']} features of {layer}")
    for row in document.get("layers", ()):
        shape = " x ".join(map(str, row["shape"]))
        say(f"  {row['name'] or '(the model)':<32}{row['kind']:<20}{shape}")
    for row in document.get("probes", ()):
        chosen = f"  ({row['chosen']})" if row["chosen"] else ""
        say(f"probe {row['probe']:<10}{100 * row['accuracy']:.2f}% of the test part{chosen}")
    for key in ("file", "map"):
        if key in document:
            say(f"{key}: {document[key]}")
