"""`tfzoo verify --published`, with small checkpoints in the place of the published ones."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.published_checkpoints import writers
from tfzoo.cli.__main__ import main
from tfzoo.hub import HubError, HubOptions
from tfzoo.modeling import expected as rows
from tfzoo.modeling.expected import Answer, Number, Outputs, Sources, answers_of, compare
from tfzoo.modeling.expected_inputs import INPUTS
from tfzoo.registry import families

FAMILIES = [family.name for family in families()]
ALL = [(family, answer) for family in FAMILIES for answer in answers_of(family)]


def options(sources: Sources, *names: str) -> list[str]:
    """The command's arguments that put the stand-ins in the place of what is published."""
    needed = [answer for family in names or FAMILIES for answer in answers_of(family)]
    repositories = {answer.checkpoint for answer in needed if answer.checkpoint}
    given = ["--published", *names]
    for name in sorted(repositories):
        given += ["--checkpoint", f"{name}={sources.folders[name]}"]
    for name, path in sources.files.items():
        given += ["--input", f"{name}={path}"]
    return given


_OUTPUTS: dict[str, Outputs] = {}


def outputs_of(answer: Answer, sources: Sources) -> Outputs:
    """What the stand-in gives: computed once, for it takes up to seconds."""
    if answer.name not in _OUTPUTS:
        _OUTPUTS[answer.name] = sources.outputs(answer)
    return _OUTPUTS[answer.name]


def computed(answer: Answer, sources: Sources, change: float = 0.0) -> Answer:
    """The row with the numbers that the stand-in gives."""
    outputs = outputs_of(answer, sources)
    numbers = [
        dataclasses.replace(
            number,
            values=np.asarray(outputs[number.output])[number.place].astype("float64") + change,
            shape=np.asarray(outputs[number.output]).shape if number.shape else None,
        )
        for number in answer.numbers
    ]
    return dataclasses.replace(answer, numbers=tuple(numbers))


@pytest.fixture
def known(stand_ins: Sources, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put the stand-ins' own numbers in the place of the published ones, some of them moved."""

    def put(*names: str, **changes: float) -> None:
        made = {
            family: tuple(
                computed(answer, stand_ins, changes.get(family, 0.0))
                for answer in answers_of(family)
            )
            for family in names or FAMILIES
        }
        monkeypatch.setattr(rows, "answers_of", made.__getitem__)

    return put


def test_every_row_has_a_stand_in() -> None:
    """`PUBLISHED` in `tests/models/<family>/checkpoints.py`."""
    assert {answer.checkpoint for _, answer in ALL} - {""} == set(writers())
    assert {name for _, answer in ALL for name in answer.inputs} == set(INPUTS)
    published = {name for family in families() for name in family.checkpoints}
    assert set(writers()) <= published
    assert len({answer.name for _, answer in ALL}) == len(ALL)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "answer"), ALL, ids=lambda value: getattr(value, "name", value))
def test_rows_compute_what_they_compare(family: str, answer: Answer, stand_ins: Sources) -> None:
    outputs = outputs_of(answer, stand_ins)
    for number in answer.numbers:
        whole = np.asarray(outputs[number.output])
        assert np.isfinite(whole).all()
        assert np.asarray(number.values).ndim == whole[number.place].ndim
        if number.shape is not None:
            assert len(number.shape) == whole.ndim


@pytest.mark.slow
def test_all_agree(stand_ins: Sources, known: Any, capsys: pytest.CaptureFixture[str]) -> None:
    known()
    assert main(["verify", *options(stand_ins)]) == 0
    printed = capsys.readouterr()
    assert printed.out.count(": agrees\n") == len(ALL)
    assert f"{len(ALL)} of {len(ALL)} agree, 0 differ, 0 failed, 0 were not run" in printed.out
    assert f"{len(ALL)} of {len(ALL)}: " in printed.err
    line = printed.out.split("logits_per_video, shape (1, 3)\n")[1].split("\n")
    assert line[0].split()[1:] == line[1].split()[1:]  # expected and got


def test_one_that_differs(
    stand_ins: Sources, known: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    known("lxmert", "timesformer", lxmert=0.01)
    given = options(stand_ins, "lxmert", "timesformer")
    assert main(["verify", *given, "--json"]) == 1
    printed = capsys.readouterr()
    assert "1 of 2 known answers differ, 0 could not be computed" in printed.err
    lxmert, timesformer = json.loads(printed.out)
    assert (lxmert["status"], timesformer["status"]) == ("differs", "agrees")
    number = lxmert["numbers"][0]
    assert number["difference"] == pytest.approx(0.01, abs=1e-6)
    assert (number["output"], number["agrees"]) == ("language_output[0, :3, :3]", False)
    assert np.subtract(number["expected"], number["got"]) == pytest.approx(0.01, abs=1e-6)


@pytest.mark.slow
def test_the_published_numbers_are_not_the_stand_ins(
    stand_ins: Sources, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the numbers as published, every row that loads a small checkpoint differs."""
    assert main(["verify", *options(stand_ins), "--json"]) == 1
    statuses = {(row["title"], row["status"]) for row in json.loads(capsys.readouterr().out)}
    assert {status for _, status in statuses} == {"differs"}


def test_what_cannot_be_computed(
    stand_ins: Sources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = "deepmind/optical-flow-perceiver"
    broken = shutil.copytree(stand_ins.folders[flow], tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    given = [*options(stand_ins, "perceiver"), "--checkpoint", f"{flow}={broken}"]
    assert main(["verify", *given]) == 1
    printed = capsys.readouterr()
    assert f"{flow}: the motion between an image and itself: failed\n  " in printed.out
    assert "model.safetensors" in printed.out
    assert "1 failed" in printed.out


def test_one_that_fails_beside_one_that_agrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(load: Any, inputs: Any) -> Any:
        raise ValueError("no weights")

    numbers = (Number("x", [1.0]),)
    right = Answer("", "one", lambda load, inputs: {"x": np.ones(1)}, numbers)
    made = (right, Answer("", "another", fail, numbers))
    monkeypatch.setattr(rows, "answers_of", lambda family: made)
    assert main(["verify", "--published", "lxmert"]) == 1
    printed = capsys.readouterr()
    assert "one: agrees\n" in printed.out
    assert "another: failed\n  no weights\n" in printed.out
    assert "0 of 2 known answers differ, 1 could not be computed" in printed.err


def test_the_revision_of_a_row_is_loaded(tmp_path: Path) -> None:
    answer = Answer("org/model", "one", lambda load, inputs: {}, (), revision="v2")
    sources = Sources(options=HubOptions(cache_dir=tmp_path, local_files_only=True))
    with pytest.raises(HubError, match="'org/model' at revision 'v2' is not in the cache"):
        sources.load(answer, "TimesformerConfig")


@pytest.mark.slow
def test_inputs_that_have_to_be_given(
    stand_ins: Sources, known: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    known("perceiver")
    given = options(stand_ins, "perceiver")
    place = next(i for i, text in enumerate(given) if text.startswith("sintel="))
    assert main(["verify", *given[: place - 1], *given[place + 1 :]]) == 0
    printed = capsys.readouterr().out
    assert "not run\n  needs the first image of" in printed
    assert "--input sintel=FILE" in printed
    assert "4 of 5 agree, 0 differ, 0 failed, 1 were not run" in printed


def test_offline_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--published", "lxmert", "--offline", "--cache-dir", str(tmp_path)]
    assert main(["verify", *given]) == 1
    printed = capsys.readouterr()
    assert "unc-nlp/lxmert-base-uncased" in printed.out
    assert "forbids the download" in printed.out
    assert "0 of 1 known answers differ, 1 could not be computed" not in printed.err.split("\n")[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--published", "bert"], "no family 'bert'; there are lxmert, owlv2"),
        (["--published", "--input", "dogs=x"], "no 'dogs' is needed; there are cats"),
        (["--published", "--input", "cats"], "must look like NAME=PATH, got 'cats'"),
        (["--published", "--input", "cats=/no/file"], "there is no /no/file"),
        (["--published", "tvp", "--checkpoint", "a/b=."], "no 'a/b' is needed; there are Jiqing"),
        ([], "the following arguments are required: --published"),
    ],
)
def test_wrong_usage(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *given]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "place", "shape", "agrees"),
    [
        ((1.0, 2.0), np.s_[0], (1, 2), True),
        ((1.0, 2.00011), np.s_[0], None, True),
        ((1.0, 2.001), np.s_[0], None, False),
        ((1.00015, 2.0), np.s_[0], None, True),  # by 1e-4 and by 1e-4 of the number
        ((1.0, 2.0), np.s_[0], (2, 2), False),
        ((1.0, 2.0, 3.0), np.s_[0, :3], None, False),
        (1.0, np.s_[0, 5], None, False),
        (1.0, np.s_[0, 0], None, True),
    ],
)
def test_comparisons(values: Any, place: Any, shape: Any, agrees: bool) -> None:
    place = place if isinstance(place, tuple) else (place,)
    found = compare(Number("x", values, place, shape), {"x": np.array([[1.0, 2.0]])})
    assert found.agrees is agrees
    assert compare(Number("x", values, place), {"x": np.full((1, 2), np.nan)}).agrees is False
