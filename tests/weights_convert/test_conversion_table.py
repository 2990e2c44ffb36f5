"""The script that makes docs/conversion.md: all classes are in it, and it sees what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.benchmarks.tables import conversion
from tests.benchmarks.tables.conversion import differing_tensors, largest_difference, main, page
from tests.benchmarks.tables.published_sizes import NESTED, SIZES
from tests.models.timesformer.cases import CASES
from tests.support.classes import model_families
from weights_convert.checkpoint import open_checkpoint, write_checkpoint


def record(model: str, **changes: Any) -> dict[str, Any]:
    side = {"load_s": 1.234, "load_bytes": 5.6e8}
    return {
        "tensors": 12,
        "parameters": 3456,
        "architectures": [model.removeprefix("TF")],
        "difference": 2e-6,
        "changed": [],
        "problems": {},
        "tfzoo": side,
        "torch": {**side, "load_s": 2.0},
        "versions": {"torch": "2.13.0", "keras": "3.15.1"},
        "rounds": 3,
        "busy": False,
        "fingerprint": next(conversion._fingerprint(size) for size in SIZES if size.model == model),
        **changes,
    }


def test_every_class_is_in_the_table() -> None:
    models = [size.model for size in SIZES]
    assert sorted(models) == sorted(model_families())
    checkpoints = {
        checkpoint.split("/")[1] for f in tfzoo.registry.families() for checkpoint in f.checkpoints
    }
    assert {size.title for size in SIZES} <= checkpoints


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.model)
def test_configs_and_inputs_fit_the_classes(size: Any) -> None:
    cls = getattr(tfzoo, size.model)
    cls.config_class(**size.config).validate()
    rows = {row.name for row in cls.inputs_table}
    given = set(size.inputs(np.random.default_rng(0)))
    assert given <= rows
    assert all(name in given for name in NESTED) or not given & set(NESTED)


def test_differences() -> None:
    one = {"a": np.array([1.0, -4.0]), "b": np.zeros(3)}
    assert largest_difference(one, one) == 0
    assert largest_difference({**one, "a": np.array([1.0, -3.0])}, one) == 0.25
    for other in ({"a": one["a"]}, {**one, "b": np.zeros(2)}, {**one, "b": np.full(3, np.nan)}):
        with pytest.raises(ValueError, match="tfzoo|not finite"):
            largest_difference(one, other)


def test_bits_are_compared(tmp_path: Path) -> None:
    folder = CASES[0].folder
    CASES[0].load().save_pretrained(tmp_path)
    assert differing_tensors(folder, tmp_path) == []
    with open_checkpoint(folder) as tensors:
        arrays = {name: tensors.read(name) for name in tensors}
    first, second, *_ = sorted(arrays)
    arrays[first] = np.nextafter(arrays[first], np.float32(9), dtype="float32")
    arrays["more"] = arrays.pop(second)
    rows = [(name, "F32", a.shape, lambda a=a: a) for name, a in arrays.items()]
    write_checkpoint(tmp_path, rows)
    assert sorted(differing_tensors(folder, tmp_path)) == sorted([first, second, "more"])


def test_page() -> None:
    good, wrong, busy = (size.model for size in SIZES[:3])
    text = page(
        {
            good: record(good),
            wrong: record(wrong, changed=["a.weight"]),
            busy: record(busy, busy=True),
        }
    )
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert list(rows) == [size.model for size in SIZES]
    cells = "| 12 | 3,456 | bit-equal | 2.0e-06 | 1.23 | 2.00 | 560 | 560 |"
    assert rows[good].endswith(cells)
    assert "**differs**" in rows[wrong]
    assert "1.23\\*" in rows[busy]
    assert "measured while other programs ran" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    assert "keras 3.15.1, torch 2.13.0" in text


def test_what_is_there_is_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def fake(size: Any, python: Path, rounds: int, quiet: Any) -> dict[str, Any]:
        measured.append(size.model)
        return record(size.model, busy=True)

    monkeypatch.setattr(conversion, "_measure", fake)
    monkeypatch.setattr(conversion, "reference_python", lambda kind, given: Path("python"))
    monkeypatch.setattr(conversion.Quiet, "begin", lambda self: None)
    results, docs = tmp_path / "results.json", tmp_path / "page.md"
    given = ["--results", str(results), "--docs", str(docs)]
    first, second = (size.model for size in SIZES[:2])
    assert main([first, "--busy", *given]) == 0
    assert main([first, second, "--busy", *given]) == 0
    assert measured == [first, second]
    assert set(json.loads(results.read_text())) == {first, second}
    assert main([first, *given]) == 0  # a quiet run measures what a busy one did
    assert main([second, "--busy", "--again", *given]) == 0
    assert measured == [first, second, first, second]
    kept = json.loads(results.read_text())
    kept[first]["fingerprint"] = "of another config"
    kept[second].update(
        changed=["a.weight", "b", "c", "d", "e"], problems={"missing_keys": ["b"]}, difference=1.0
    )
    results.write_text(json.dumps(kept))
    capsys.readouterr()
    assert main([first, "--busy", *given]) == 1
    assert measured[4:] == [first]
    errors = capsys.readouterr().err
    for part in (
        "not bit-equal: a.weight, b, c and 2 more",
        "missing_keys: b",
        "differ by 1.0e+00",
    ):
        assert part in errors
    assert docs.read_text() == page(json.loads(results.read_text()))


def test_wrong_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    for given in (["TFNonsense"], ["--rounds", "0"]):
        with pytest.raises(SystemExit) as stop:
            main(given)
        assert stop.value.code == 2
    assert "no class TFNonsense" in capsys.readouterr().err
