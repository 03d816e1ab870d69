"""Names of decisions by the modules under construction; choices that are asked outside."""

from __future__ import annotations

import pickle
import random
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import archsmith as nas


class Block(nn.Module):
    """Asks for itself; knows nothing of what it is put into."""

    def __init__(self, width: int, plain: bool = False) -> None:
        super().__init__()
        kernel = 3 if plain else nas.choose("kernel", [3, 5])
        self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Stage2(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(4) for _ in range(depth))
        self.tail = nas.one_of("tail", {"block": lambda: Block(4), "none": nn.Identity})

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.tail(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(*(Stage2(depth) for depth in (1, 2)))
        with nas.scope("neck"):
            self.neck = Block(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.neck(self.stages(x))


@nas.module_scopes()
def net() -> nn.Module:
    return Net()


NAMES = [
    "Net0.Stage2_0.Block0.kernel",
    "Net0.Stage2_0.tail",
    "Net0.Stage2_0.tail.block.Block0.kernel",
    "Net0.Stage2_1.Block0.kernel",
    "Net0.Stage2_1.Block1.kernel",
    "Net0.Stage2_1.tail",
    "Net0.Stage2_1.tail.block.Block0.kernel",
    "Net0.neck.Block0.kernel",
]


@pytest.mark.slow
def test_each_block_decides_for_itself():
    space = nas.Space(net)
    assert list(space.default()) == NAMES
    assert space.size() == nas.Size(2**4 * 3 * 3, True)
    assert list(nas.Space(Net).default()) == ["kernel", "tail", "tail.block.kernel", "neck.kernel"]
    answers = dict(space.default()) | {"Net0.Stage2_1.Block1.kernel": 5}
    kernels = [
        module.kernel_size[0]
        for module in space.build(nas.Architecture(answers)).modules()
        if isinstance(module, nn.Conv2d)
    ]
    assert kernels == [3, 3, 3, 5, 3, 3]
    assert pickle.loads(pickle.dumps(space)).fingerprint == space.fingerprint


def test_what_is_lent_equals_what_is_extracted():
    supernet, rng = nas.Supernet(nas.Space(net)), random.Random(0)
    x = torch.randn(2, 4, 6, 6)
    for _ in range(4):
        architecture = supernet.space.sample(rng)
        with torch.no_grad():
            lent = supernet.subnet(architecture).eval()(x)
            assert torch.equal(lent, supernet.extract(architecture).eval()(x))


def test_a_part_of_a_builder_can_be_scoped():
    def part() -> nn.Module:
        with nas.scope("body"), nas.module_scopes():
            body = [Block(4, plain=i == 0) for i in range(3)]
        return nn.Sequential(*body, Block(4))

    # The first block asks nothing, and is counted: if it starts to, the others keep their names.
    assert list(nas.Space(part).default()) == ["body.Block1.kernel", "body.Block2.kernel", "kernel"]
    assert isinstance(part(), nn.Module), "called by hand"


def test_inside_a_constructor_what_is_around_gives_no_scope():
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with nas.module_scopes():
                self.row = nas.repeat("depth", [1, 2], lambda _: Block(4), default=2)

    names = list(nas.Space(Own).default())
    assert names == ["depth", "depth.0.Block0.kernel", "depth.1.Block0.kernel"]


def test_a_flat_list_of_scoped_blocks_is_learned():
    @nas.module_scopes()
    def flat() -> nn.Module:
        blocks = []
        for stage in range(4):
            blocks += [Block(2) for _ in range(nas.choose(f"depth{stage}", [1, 2]))]
        return nn.Sequential(*blocks)

    assert nas.Space(flat).size() == nas.Size(6**4, True)


def forward(self: nn.Module, x: Tensor) -> Tensor:
    return x * nas.choose("scale", [1, 2])


class InForward(nn.Module):
    forward = forward


class Deeper(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.ReLU(), InForward())


class Keeps(nn.Module):
    """An option that is built when the model is used."""

    def __init__(self) -> None:
        super().__init__()
        self.later = lambda: nas.one_of("later", {"a": nn.ReLU, "b": nn.Tanh})

    def forward(self, x: Tensor) -> Tensor:
        return self.later()(x)


@pytest.mark.parametrize("kind", [InForward, Deeper, Keeps])
def test_a_choice_in_a_forward_is_refused(kind):
    for model in (kind(), nas.Space(kind).build(nas.Space(kind).default())):
        with pytest.raises(nas.SpaceError, match=r"runs when the model is used.*(?s:.)*__init__"):
            model(torch.ones(2))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("WIDTH = nas.choose('width', [8, 16])", "at import"),
        ("WIDTHS = [nas.integer(f'w{i}', 1, 3) for i in range(3)]", "at import"),
        ("class Net:\n    rate = nas.real('rate', 0, 1)", "in the body of a class"),
        ("def net(op=nas.one_of('op', {'a': dict})): pass", "default of an argument"),
        ("def net(parts=nas.subset('parts', [1, 2], k=1)): pass", "default of an argument"),
    ],
)
def test_a_choice_at_import_is_refused(code, told):
    with pytest.raises(nas.SpaceError, match=told):
        exec(compile(code, "mine.py", "exec"), {"nas": nas})


def test_a_builder_called_by_hand_gives_its_default():
    scope: dict[str, object] = {"nas": nas, "nn": nn}
    code = "def net(): return nn.Linear(2, nas.choose('width', [8, 16]))\nmodel = net()"
    exec(compile(code, "mine.py", "exec"), scope)
    assert scope["model"].out_features == 8
    assert net().stages[1].blocks[1].conv.kernel_size == (3, 3)


def test_a_thread_of_a_builder_cannot_ask():
    told: list[Exception] = []

    def asks() -> None:
        try:
            nas.choose("width", [8, 16])
        except nas.SpaceError as error:
            told.append(error)

    def build() -> nn.Module:
        thread = threading.Thread(target=asks)
        thread.start()
        thread.join()
        return nn.Identity()

    nas.Space(build).default()
    assert "in a thread" in str(told[0])
    build()
    assert len(told) == 1, "a builder called by hand may do as it likes"


class Asks(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return nas.choose("crop", [8, 16])


def test_a_process_that_loads_data_cannot_ask():
    assert Asks()[0] == 8
    with pytest.raises(Exception, match="process that loads data"):
        list(torch.utils.data.DataLoader(Asks(), num_workers=1))


@pytest.mark.parametrize("ask", [nas.Space, lambda model: nas.search(model, "digits", trials=1)])
def test_a_module_that_is_built_is_no_space(ask: Callable[[nn.Module], object]):
    with pytest.raises(nas.SpaceError, match=r"already built, of class Linear(?s:.)*nas.Space"):
        ask(nn.Linear(64, 10))
