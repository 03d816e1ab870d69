"""Recurrent cells: recipes there and back, isomorphism, and the built networks."""

import json
import os
import random
from pathlib import Path

import pytest
import torch

from archsmith._support.errors import SpaceError
from archsmith.space import Space
from archsmith.testing.space import SpaceContract
from archsmith.zoo.cell_graph import from_recipe, to_recipe
from archsmith.zoo.rnn_cells import cell_of, from_cell, rnn_cells

SIMPLE = {
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["f"]},
}
#: LSTM: i and j in, forget, out.
LSTM = {
    "i": {"op": "linear", "input": ["x", "h_prev_0"]},
    "i_act": {"op": "activation_tanh", "input": ["i"]},
    "j": {"op": "linear", "input": ["x", "h_prev_0"]},
    "j_act": {"op": "activation_sigm", "input": ["j"]},
    "f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "f_act": {"op": "activation_sigm", "input": ["f"]},
    "o": {"op": "linear", "input": ["x", "h_prev_0"]},
    "o_act": {"op": "activation_sigm", "input": ["o"]},
    "kept": {"op": "elementwise_prod", "input": ["f_act", "h_prev_1"]},
    "new": {"op": "elementwise_prod", "input": ["i_act", "j_act"]},
    "h_new_1": {"op": "elementwise_sum", "input": ["kept", "new"]},
    "out": {"op": "activation_tanh", "input": ["h_new_1"]},
    "h_new_0": {"op": "elementwise_prod", "input": ["out", "o_act"]},
}
SMALL = Space(
    rnn_cells, vocabulary=11, embedding=6, hidden=8, layers=2, dropout=0.0, nodes=(2, 3, 4, 5)
)


@pytest.mark.slow
class TestRNNCells(SpaceContract):
    space, shape, dtype = SMALL, (1, 5), "int64"


@pytest.fixture(scope="module")
def table():
    folder = os.environ.get("ARCHSMITH_DATA")
    if not folder:
        pytest.skip("ARCHSMITH_DATA does not name a folder with nas_bench_nlp_wikitext2.parquet")
    pandas = pytest.importorskip("pandas")
    return pandas.read_parquet(Path(folder) / "nas_bench_nlp_wikitext2.parquet")


def graph_of(recipe):
    """The recipe as a networkx graph, every node and every source a vertex."""
    networkx = pytest.importorskip("networkx")
    graph = networkx.MultiDiGraph()
    for name, node in recipe.items():
        graph.add_node(name, kind=(node["op"], name if name.startswith("h_new_") else ""))
        for place, source in enumerate(node["input"]):
            if source not in recipe:
                graph.add_node(source, kind=(source, ""))
            graph.add_edge(source, name, role=place if node["op"] == "blend" else 0)
    for node, values in graph.nodes.items():
        # Only h_new_0, h_new_1, … are outputs; recorded names may begin alike.
        op, name = values["kind"]
        if name and not name.removeprefix("h_new_").isdigit():
            graph.nodes[node]["kind"] = (op, "")
    return graph


def same(one, two):
    networkx = pytest.importorskip("networkx")
    return networkx.is_isomorphic(
        graph_of(one),
        graph_of(two),
        node_match=lambda a, b: a["kind"] == b["kind"],
        edge_match=lambda a, b: (
            sorted(e["role"] for e in a.values()) == sorted(e["role"] for e in b.values())
        ),
    )


def test_the_default_is_the_simple_cell():
    assert cell_of(SMALL.default()) == from_recipe(SIMPLE)


@pytest.mark.slow
def test_every_recorded_recipe_there_and_back(table):
    space = Space(rnn_cells, vocabulary=11, embedding=4, hidden=4, layers=1)
    assert table.recepie_id.nunique() == 344
    for text in table.recepie.unique():
        recipe = json.loads(text)
        architecture = from_cell(from_recipe(recipe))
        space.validate(architecture)
        back = to_recipe(cell_of(architecture))
        assert from_recipe(back) == cell_of(architecture)
        assert same(back, recipe)


def test_recorded_cells_are_260_graphs(table):
    cells = [from_recipe(json.loads(text)) for text in table.recepie]
    assert len({cell.canonical() for cell in cells}) == 260
    assert sum(len(cell.live) < len(cell.nodes) for cell in cells) == 13


def test_runs_of_isomorphic_cells_ended_alike(table):
    """Seeds apart: what the canonical form joins was trained to nearly one loss."""
    losses: dict[str, list[float]] = {}
    for text, curve in zip(table.recepie, table.val_losses):
        losses.setdefault(from_recipe(json.loads(text)).canonical(), []).append(
            json.loads(curve)[-1]
        )
    joined = [group for group in losses.values() if len(group) > 2]
    assert len(joined) > 10
    spread = sorted(max(group) - min(group) for group in joined)
    assert spread[len(spread) // 2] < 0.03


def test_params_are_the_recorded_ones(table):
    space = Space(rnn_cells, vocabulary=33_278)
    rows = random.Random(0).sample(range(len(table)), 12)
    for row in rows:
        cell = from_recipe(json.loads(table.recepie[row]))
        params = sum(p.numel() for p in space.build(from_cell(cell), device="meta").parameters())
        if len(cell.live) == len(cell.nodes):
            assert params == table.num_params[row]
        else:
            assert params <= table.num_params[row]


def test_names_orders_and_states_make_no_difference():
    names = {"i": "a", "j": "b", "f": "c", "o": "d", "kept": "e", "new": "g", "out": "z"}

    def renamed(source):
        return names.get(source, source)

    turned = {
        renamed(name): {
            "op": node["op"],
            "input": [renamed(s) for s in (reversed(node["input"]) if name != "x" else [])],
        }
        for name, node in reversed(LSTM.items())
    }
    assert from_recipe(turned).canonical() == from_recipe(LSTM).canonical()
    assert from_recipe(LSTM).canonical() != from_recipe(SIMPLE).canonical()


def test_blends_tell_their_inputs_apart():
    def cell(gate, first, second):
        return from_recipe(
            {
                "a": {"op": "linear", "input": ["x", "h_prev_0"]},
                "b": {"op": "activation_sigm", "input": ["a"]},
                "h_new_0": {"op": "blend", "input": [gate, first, second]},
            }
        )

    assert cell("b", "a", "h_prev_0").canonical() != cell("b", "h_prev_0", "a").canonical()
    assert cell("b", "a", "a").canonical() == cell("b", "a", "a").canonical()


def test_symmetric_nodes_are_told_by_trying():
    """Two pairs of like layers, crossed or not: refinement alone sees no difference."""

    def cell(one, two):
        nodes = {k: {"op": "linear", "input": ["x", "h_prev_0"]} for k in "abcd"}
        nodes |= {
            f"s{i}": {"op": "elementwise_sum", "input": list(pair)}
            for i, pair in enumerate((*one, *two))
        }
        nodes |= {
            "p0": {"op": "elementwise_prod", "input": ["s0", "s1"]},
            "p1": {"op": "elementwise_prod", "input": ["s2", "s3"]},
            "h_new_0": {"op": "elementwise_sum", "input": ["p0", "p1"]},
        }
        return from_recipe(nodes)

    crossed = cell(["ab", "cd"], ["bc", "da"])
    other = cell(["cd", "ab"], ["da", "cb"])
    parallel = cell(["ab", "bc"], ["cd", "da"])
    assert crossed.canonical() == other.canonical()
    assert crossed.canonical() != parallel.canonical()


def test_what_never_reaches_the_output_is_left_out():
    spare = {**SIMPLE, "h_new_1": {"op": "linear", "input": ["x", "h_prev_1"]}}
    assert from_recipe(spare).canonical() == from_recipe(SIMPLE).canonical()
    names = [name for name, _ in SMALL.build(from_cell(from_recipe(spare))).named_parameters()]
    assert not [name for name in names if "linear.2" in name]
    read = {**spare, "f": {"op": "linear", "input": ["x", "h_prev_0", "h_prev_1"]}}
    assert len(from_recipe(read).live) == 3


def test_features_count_operations_and_depth():
    features = from_recipe(LSTM).features()
    assert features["op:linear"] == 4.0
    assert features["pair:linear>activation_sigm"] == 3.0
    assert features["depth:longest"] == 6.0  # linear, tanh, product, sum, tanh, product


def test_an_lstm_computes_what_torch_does():
    space = Space(rnn_cells, vocabulary=11, embedding=6, hidden=6, layers=1, dropout=0.0)
    model = space.build(from_cell(from_recipe(LSTM)), seed=0).eval()
    reference = torch.nn.LSTM(6, 6, batch_first=True)
    cell = from_recipe(LSTM)
    gates = {}  # torch's order of gates is in, forget, new, out
    for node, (op, sources) in enumerate(cell.nodes):
        if op != "linear":
            continue
        readers = [n for n, (_, read) in enumerate(cell.nodes) if node in read]
        kind = cell.nodes[readers[0]][0]
        after = [n for n, (_, read) in enumerate(cell.nodes) if readers[0] in read]
        gates[node] = (kind, cell.nodes[after[0]][1], after[0])
        assert sources == ("x", "h_prev_0")
    place = {}
    for node, (kind, read, after) in gates.items():
        if kind == "activation_tanh":
            place["new"] = node
        elif "h_prev_1" in read:
            place["forget"] = node
        elif after == cell.states[0]:
            place["out"] = node
        else:
            place["in"] = node
    layers = [model.layers[0].linear[str(place[k])] for k in ("in", "forget", "new", "out")]
    with torch.no_grad():
        reference.weight_ih_l0.copy_(torch.cat([layer.weight[:, :6] for layer in layers]))
        reference.weight_hh_l0.copy_(torch.cat([layer.weight[:, 6:] for layer in layers]))
        reference.bias_ih_l0.copy_(torch.cat([layer.bias for layer in layers]))
        reference.bias_hh_l0.zero_()
    x = torch.randn(3, 7, 6)
    assert torch.allclose(model.layers[0](x), reference(x)[0], atol=1e-5)


def test_a_place_sees_earlier_ones_alone_and_it_learns():
    torch.manual_seed(0)
    model = SMALL.build(SMALL.default(), seed=0)
    tokens = torch.randint(11, (4, 6))
    changed = tokens.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 11
    assert torch.allclose(model(tokens)[:, :4], model(changed)[:, :4])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(80):
        start = torch.randint(11, (16, 1))
        counting = (start + torch.arange(6)) % 11
        logits = model(counting[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), counting[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"h_new_0": {"op": "activation_relu", "input": ["f"]}}, "h_new_0.*activation_relu"),
        ({"h_new_0": {"op": "activation_tanh", "input": ["f", "x"]}}, "1 inputs"),
        ({"h_new_0": {"op": "activation_tanh", "input": ["x"]}}, "x as an input of linear"),
        ({"h_new_0": {"op": "activation_tanh", "input": ["g"]}}, "h_new_0.*'g'"),
        ({"f": {"op": "linear", "input": ["x", "h_prev_1"]}}, "f: .*h_prev_1"),
        ({"f": {"op": "linear", "input": ["x", "x"]}}, "distinct"),
        ({"f": {"op": "linear", "input": ["x", "h_new_0"]}}, "cycle"),
        ({"f": "linear"}, "an object with op and input"),
        ({"h_new_2": SIMPLE["f"]}, "h_new_0 and so on"),
    ],
)
def test_broken_recipes_say_where(change, part):
    with pytest.raises(SpaceError, match=part):
        from_recipe({**SIMPLE, **change})


def test_incomplete_architectures_are_refused():
    whole = dict(SMALL.default())
    for name in whole:
        with pytest.raises(SpaceError, match=name.split(".")[0]):
            cell_of({k: v for k, v in whole.items() if k != name})
