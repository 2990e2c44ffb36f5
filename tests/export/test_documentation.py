"""docs/serving.md names what the models really serve."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.endpoints import names_of_signatures
from tests.support.paths import ROOT
from tests.support.served import ALIKE, HEADS, SERVED, load_head
from tfzoo.export.saved_model import BATCHING_FILE, read_signatures

TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def rows(mark: str) -> Iterator[list[str]]:
    """The cells of a table that follows a mark."""
    lines = TEXT.split(f"<!-- table: {mark} -->\n")[1].splitlines()[2:]
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documented() -> dict[tuple[str, str], tuple[set[str], set[str]]]:
    """(model, signature) -> names of inputs and of outputs."""
    found = {}
    for models, signature, inputs, outputs in rows("signatures"):
        names = quoted(models)
        full = [n if n[0] != "…" else re.sub("Learned$", n[1:], names[0]) for n in names]
        for model in full:
            found[model, quoted(signature)[0]] = set(quoted(inputs)), set(quoted(outputs))
    return found


def documented_of(model: Any) -> dict[str, tuple[set[str], set[str]]]:
    """Signature of a model's class -> names of inputs and of outputs."""
    return {s: sides for (m, s), sides in documented().items() if m == type(model).__name__}


@pytest.mark.parametrize("name", HEADS)
def test_signatures_are_documented(name: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    model, _ = load_head(name, tmp_path / "checkpoint")
    offered = read_signatures(saved(name))
    offered.pop("serving_default")
    assert documented_of(model) == {s: (set(i), set(o)) for s, (i, o) in offered.items()}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.slow
def test_signatures_of_similar_heads_are_documented(name: str, tmp_path: Path) -> None:
    model, processor = load_head(name, tmp_path / "checkpoint")
    offered = names_of_signatures(model, processor, **SERVED[name].options)
    assert documented_of(model) == offered


def test_nothing_else_is_documented() -> None:
    assert len({model for model, _ in documented()}) == len(SERVED)


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_clients_show_every_signature(kind: str) -> None:
    clients = TEXT.split(f"<!-- clients: {kind} -->")[1].split("\n```\n")[0]
    for (_, signature), (inputs, _) in documented().items():
        assert f'"{signature}"' in clients.replace('\\"', '"'), signature
        for name in inputs - {"visual_attention_mask", "visual_pos", "attention_mask"}:
            assert re.search(rf"\b{name}\b", clients), name


def test_files_that_are_named_exist(saved: Callable[[str], Path]) -> None:
    for path in ("deploy/compose.yaml", "deploy/batching.config", "tests/support/serve_models.py"):
        assert (ROOT / path).is_file()
        assert path.removesuffix(".py").replace("/", ".") in TEXT.replace("/", ".")
    version = saved("perceiver_conv")
    for path in ("saved_model.pb", "variables", "assets.extra", str(BATCHING_FILE)):
        assert (version / path).exists()
        assert path in TEXT


def test_global_batching_leaves_the_rest_to_the_versions() -> None:
    text = (ROOT / "deploy" / "batching.config").read_text()
    fields = re.findall(r"^(\w+)", text, flags=re.MULTILINE)
    assert fields == ["num_batch_threads", "thread_pool_name"]
