"""The command ``archsmith features``: what a layer of an exported model says of data."""

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

#: Parts of the data, in the order in which they stand in a file of features.
PARTS = ("train", "validation", "test")


def features(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What export wrote.")],
    data: Annotated[str, typer.Argument(help="A name, a folder or a file, as for search.")],
    to: Annotated[
        Path | None, typer.Option(help="File for the features: .npz or .parquet.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer to read; the one before the classifier if left out.")
    ] = None,
    pool: Annotated[
        str, typer.Option(help="mean, max, mean+max, first, last, hidden or flatten.")
    ] = "auto",
    normalise: Annotated[str | None, typer.Option(help="l2, power or standard.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="List the layers.")] = False,
    map: Annotated[Path | None, typer.Option(help="SVG file for a map in two dimensions.")] = None,
    method: Annotated[str, typer.Option(help="Of the map: pca, tsne or umap.")] = "pca",
    probe: Annotated[
        bool, typer.Option("--probe", help="Fit probes on the training part, score on the test.")
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder where features are kept.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    split_seed: Annotated[int, typer.Option(help="Seed of the split of the data.")] = 0,
    target: Annotated[str | None, typer.Option(help="Column of labels (tables).")] = None,
    decimal: Annotated[
        Literal["point", "comma"] | None,
        typer.Option(help="Decimal sign of numbers like 1,288 that read in two ways (tables)."),
    ] = None,
    channels: Annotated[
        Literal["first", "last"] | None,
        typer.Option(help="Where channels stand, if sizes do not tell (.npz of images)."),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="The model's space, where it is your own.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Deep features of data by an exported model: saved, probed, drawn."""
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
            "none of it",
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
            prepare=lambda inputs: _prepared(folder, task, inputs, facts),
        )
        options = ReadOptions(seed=split_seed, target=target, decimal=decimal, channels=channels)
        with fitting(folder):
            read = _read(task, facts, data, options)
        if probe:
            _check_probe(read)
        if normalise == "standard":
            reader.fit(read.inputs[read.index("train")])
        count = len(read.inputs)
        found = reader(read.inputs, progress=lambda n, _: screen.step(f"features {n} of {count}"))
        document: dict[str, Any] = {
            "data": read.name,
            "layer": reader.layer,
            "pool": pool,
            "normalise": normalise,
            "examples": count,
            "features": found.shape[1],
        }
        if to is not None:
            save_features(to, found, read.labels, read.names, parts=read.parts)
            document["file"] = str(to)
        if map is not None:
            screen.step(f"map by {method}")
            _draw(found, read, method, map)
            document["map"] = str(map)
        if probe:
            screen.step("probes")
            document["probes"] = _probes(found, read)
        if layers:
            document["layers"] = [asdict(each) for each in reader.layers(read.inputs)]
    if as_json:
        print_json(document)
    else:
        _print(document)


@dataclass(frozen=True)
class _Read:
    """Data as the model takes it: raw inputs of all parts, one after the other.

    Attributes:
        labels: classes (n,), ``None`` where there are none.
        parts: the part of each example, ``None`` for inputs that have no parts.
    """

    name: str
    inputs: Tensor
    labels: Tensor | None = None
    names: list[str] | None = None
    parts: list[str] | None = None

    def index(self, *parts: str) -> list[int]:
        """Places of the examples of these parts; of all where there are no parts."""
        own = self.parts or [parts[0]] * len(self.inputs)
        return [i for i, part in enumerate(own) if part in parts]


def _read(task: Task, facts: Mapping[str, Any], source: str, options: ReadOptions) -> _Read:
    """Labelled data as for a search, else inputs as for a prediction."""
    import torch

    from ..data import datasets
    from ..task.contracts import Unlabelled, deployment_of
    from ..task.reading import expect_used

    # Pairs of views, or parts without a class in common, are a matter of training alone.
    task = task.labelled() if isinstance(task, Unlabelled) else task
    if source not in datasets.names() and Path(source).exists() and not task.suits(source, options):
        return _Read(Path(source).stem, deployment_of(task).load_input(Path(source), facts))
    expect_used(task, source, options)
    if facts.get("height") == facts.get("width"):
        # Images of a folder are brought to the size that the model was trained on.
        options = replace(options, image_size=facts.get("height"))
    data = task.read(source, options)
    _check_like(task, facts, data)
    given = {part: getattr(data, part) for part in PARTS}
    targets = torch.cat([part.targets for part in given.values()])
    # A class for each pixel or character says nothing of an example as a whole.
    classes = targets.dim() == 1 and not targets.is_floating_point()
    return _Read(
        data.name,
        torch.cat([part.inputs for part in given.values()]),
        targets if classes else None,
        data.facts.get("class_names") if classes else None,
        [name for name, part in given.items() for _ in range(len(part))],
    )


def _prepared(folder: Path, task: Task, inputs: Tensor, facts: Mapping[str, Any]) -> Tensor:
    from ..export.predict import fitting

    with fitting(folder):
        prepared: Tensor = task.prepare(inputs, facts)
        return prepared


def _check_like(task: Task, facts: Mapping[str, Any], data: Data) -> None:
    """Refuse data that the model does not take."""
    wanted, got = (tuple(task.example(f).shape[1:]) for f in (facts, data.facts))
    if wanted != got:
        raise DataError(data.name, f"inputs of shape {wanted}, as the model takes them", str(got))
    if facts.get("columns") != data.facts.get("columns"):
        names = ", ".join(column["name"] for column in facts["columns"][:6])
        raise DataError(
            data.name,
            f"the columns and categories that the model was trained on ({names}, ...)",
            "others",
        )


def _check_probe(read: _Read) -> None:
    if read.labels is None or read.parts is None:
        raise InputError("--probe", "data with classes", f"{read.name} has none")


def _probes(found: Tensor, read: _Read) -> list[dict[str, Any]]:
    """Fitted on the training and validation parts, scored on the test part."""
    from ..transfer.features import probe

    assert read.labels is not None
    one, two = read.index("train", "validation"), read.index("test")
    scores = probe(found[one], read.labels[one], found[two], read.labels[two])
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


def _draw(found: Tensor, read: _Read, method: str, path: Path) -> None:
    from ..report.plane import map_picture
    from ..transfer.features import feature_map

    made = feature_map(found, read.labels, method, names=read.names)
    map_picture(made, f"Features of {read.name}", path)


def _check_files(to: Path | None, map: Path | None, method: str) -> None:
    """Refuse files that could not be written after the work."""
    from .._support.errors import unknown
    from ..transfer.features.files import check_path
    from ..transfer.features.maps import METHODS, require_umap

    if to is not None:
        check_path(to)
    if method not in METHODS:
        raise unknown("--method", method, METHODS)
    if map is not None:
        if map.suffix != ".svg" or not map.resolve().parent.is_dir():
            raise InputError("--map", "an .svg file in a folder that is there", str(map))
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
