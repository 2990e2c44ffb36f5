"""Questions about regions: TSV files read by place, answers as labels."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.support.lxmert_checkpoint import ANSWERS, write_lxmert_checkpoint
from tfzoo.data import BrokenFileWarning, DataError, question_dataset_from_tsv
from tfzoo.data.regions import (
    RegionFeatureError,
    RegionFeatures,
    region_batch,
    write_region_features,
)

COUNTS = {"one": 4, "two": 4, "three": 2}  # regions of each image
WIDTH = 2048
ASKED = [
    {"img_id": "two", "sent": "Is it red?", "label": {"no": 0.3, "yes": 1.0, "maybe": 2.0}},
    {"img_id": "three", "sent": "How many cats are there?", "label": {"two": 1}},
    {"img_id": "one", "sent": "Is it a cat?", "label": "no", "question_id": 7},
    {"img_id": "two", "sent": "Is it a dog? " + "Is it " * 20, "label": {"no": 0.9}},
]


def record(name: str, count: int) -> RegionFeatures:
    rng = np.random.default_rng(len(name) + count)
    corners = np.sort(rng.uniform(0, 200, (count, 2, 2)), axis=1).reshape(count, 4)
    features = rng.exponential(size=(count, WIDTH)).astype("float32")
    return RegionFeatures(name, 200, 240, corners.astype("float32"), features)


RECORDS = {name: record(name, count) for name, count in COUNTS.items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lxmert_checkpoint(tmp_path_factory.mktemp("tiny") / "lxmert")


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Any:
    return tfzoo.LxmertTokenizerFast.from_pretrained(checkpoint)


@pytest.fixture
def features(tmp_path: Path) -> Path:
    write_region_features(tmp_path / "regions.tsv", RECORDS.values())
    return tmp_path / "regions.tsv"


@pytest.fixture
def make(features: Path, tokenizer: Any) -> Callable:
    def build(asked: Any = ASKED, **options: Any) -> Any:
        answers = {name: place for place, name in ANSWERS.items()}
        options = {"answers": answers, "batch_size": 3, "shuffle": False, **options}
        source = options.pop("features", features)
        return question_dataset_from_tsv(
            source, asked, options.pop("tokenizer", tokenizer), **options
        )

    return build


def whole(dataset: tf.data.Dataset) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """All batches in one."""
    ((inputs, labels),) = list(dataset.unbatch().batch(100))
    return {name: value.numpy() for name, value in inputs.items()}, labels.numpy()


def test_questions_regions_and_answers(make: Callable, tokenizer: Any) -> None:
    dataset = make()
    assert [len(labels) for _, labels in dataset] == [3, 1]
    inputs, labels = whole(dataset)
    assert labels.tolist() == [0, 2, 1, 1]  # the best of the known answers
    expected = region_batch([RECORDS[entry["img_id"]] for entry in ASKED])
    for name, value in expected.items():
        np.testing.assert_array_equal(inputs[name], value, err_msg=name)
    assert inputs["visual_attention_mask"].sum(1).tolist() == [4, 2, 4, 4]
    asked = [entry["sent"] for entry in ASKED]
    longest = max(map(len, tokenizer(asked)["input_ids"]))  # by default
    texts = tokenizer(
        asked,
        padding="max_length",
        truncation=True,
        max_length=longest,
        return_tensors="np",
    )
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        np.testing.assert_array_equal(inputs[name], texts[name], err_msg=name)
    assert dataset.class_names == [ANSWERS[place] for place in sorted(ANSWERS)]


def test_questions_are_no_longer_than_the_tokenizer_says(make: Callable, tokenizer: Any) -> None:
    tokenizer.model_max_length = 4
    dataset = make(answers=None)
    assert dataset.element_spec["input_ids"].shape[-1] == 4
    assert dataset.class_names is None


def test_questions_from_a_file_without_labels(make: Callable, tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([{"img_id": "one", "sent": "Is it?"}]))
    (batch,) = list(make(path, answers=None, max_text_length=7, num_regions=6))
    assert batch["input_ids"].shape == (1, 7)
    assert batch["visual_feats"].shape == (1, 6, WIDTH)
    assert batch["visual_attention_mask"].numpy().tolist() == [[1, 1, 1, 1, 0, 0]]
    assert set(batch) == {
        *("input_ids", "attention_mask", "token_type_ids"),
        *("visual_feats", "visual_pos", "visual_attention_mask"),
    }


def test_the_first_reading_is_kept(make: Callable, features: Path, tmp_path: Path) -> None:
    said: list[tuple[int, int | None]] = []
    note = {"progress": lambda done, total: said.append((done, total))}
    make(**note)
    size = features.stat().st_size
    assert len(said) == len(COUNTS)
    assert said[-1] == (size, size)
    kept = features.with_name("regions.tsv.index.json")
    assert set(json.loads(kept.read_text())["offsets"]) == set(COUNTS)
    make(**note)
    assert len(said) == len(COUNTS)  # not read again
    make(**note, index=tmp_path / "elsewhere.json")
    assert (tmp_path / "elsewhere.json").is_file()
    assert len(said) == 2 * len(COUNTS)
    write_region_features(features, [RECORDS["one"]], force=True)
    make([ASKED[2]], **note)  # another file: the index is rebuilt
    assert len(said) == 2 * len(COUNTS) + 1


def test_other_files_of_features(make: Callable, tmp_path: Path) -> None:
    for name in ("cache.h5", "folder"):
        write_region_features(tmp_path / name, RECORDS.values())
        inputs, labels = whole(make(features=tmp_path / name))
        np.testing.assert_allclose(inputs["visual_feats"], whole(make())[0]["visual_feats"])
        assert labels.tolist() == [0, 2, 1, 1]


def test_files_of_windows(make: Callable, features: Path, tmp_path: Path) -> None:
    """A byte order mark, and an empty line at the end."""
    mark, expected = "\ufeff".encode(), whole(make())
    features.write_bytes(mark + features.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    (tmp_path / "questions.json").write_bytes(mark + json.dumps(ASKED).encode())
    inputs, labels = whole(make(tmp_path / "questions.json"))
    np.testing.assert_array_equal(labels, expected[1])
    for name, value in expected[0].items():
        np.testing.assert_array_equal(inputs[name], value, err_msg=name)


def test_an_image_that_is_removed_meanwhile(make: Callable, tmp_path: Path) -> None:
    write_region_features(tmp_path / "folder", RECORDS.values())
    dataset = make(features=tmp_path / "folder", on_error="skip")
    (tmp_path / "folder" / "three.npz").unlink()
    with pytest.warns(BrokenFileWarning, match="lacks the image 'three'"):
        assert len(whole(dataset)[1]) == 3


def test_files_are_closed(make: Callable, features: Path) -> None:
    def still_open() -> int:
        gc.collect()
        files = [thing for thing in gc.get_objects() if isinstance(thing, io.BufferedReader)]
        return sum(str(file.name) == str(features) and not file.closed for file in files)

    part = make().take(1)
    gc.collect()
    list(part)  # a derived set keeps the file
    assert still_open() == 1
    del part
    assert still_open() == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "expected a list .* got an empty one"),
        ({"img_id": "one"}, "expected a list .* got dict"),
        (["Is it?"], r"questions\[0\]: expected an object"),
        ([{"sent": "Is it?"}], '"img_id" and "sent"'),
        ([{"img_id": "one", "sent": " "}], '"sent" to be a question'),
        ([{"img_id": "one", "sent": "Is it?", "label": 3}], '"label" to be'),
        ([{"img_id": "one", "sent": "Is it?", "label": {"yes": "1"}}], '"label" to be'),
        ([{"img_id": "lost", "sent": "Is it?", "label": "yes"}], "lacks 1 of 1 images: lost"),
        ([*ASKED, {"img_id": "lost", "sent": "?", "label": "yes"}], "lacks 1 of 4 images: lost"),
        ([{"img_id": "one", "sent": "Is it?"}], "1 of 1 questions have no answer among the 3"),
        (
            [*ASKED, {"img_id": "one", "sent": "Is it?", "label": {"no": 0, "yes": 0.0}}],
            "1 of 5 questions .* or none of a score above 0: 4 'Is it",
        ),
        ([{"img_id": True, "sent": "Is it?"}], "img_id: expected an id"),
        ([{"img_id": "one", "sent": "\ud800"}], '"sent" to be a question'),
        ([{"img_id": "one", "sent": "Is it?", "label": {"yes": 10**400}}], '"label" to be'),
        (
            [*ASKED, {"img_id": "one", "sent": "Is it?", "label": "perhaps"}],
            r"1 of 5 questions .* 4 'Is it\?' \['perhaps'\]",
        ),
    ],
)
def test_wrong_questions(make: Callable, asked: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(asked)


def test_wrong_files(make: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        make(tmp_path / "none.json")
    with pytest.raises(DataError, match="expected a file, got a folder"):
        make(tmp_path)
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(DataError, match=r"bad\.json is not valid JSON"):
        make(tmp_path / "bad.json")
    with pytest.raises(RegionFeatureError, match=r"none\.tsv: no such file"):
        make(features=tmp_path / "none.tsv")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"answers": "yes"}, ValueError, "answers: expected config.label2id or a list"),
        ({"answers": []}, ValueError, "answers: expected"),
        ({"answers": {"yes": "0"}}, ValueError, "an index for each answer"),
        ({"num_regions": 0}, ValueError, "num_regions must be a whole number above 0"),
        ({"max_text_length": 2.5}, ValueError, "max_text_length must be"),
        ({"tokenizer": "bert"}, TypeError, "expected LxmertTokenizerFast, got 'bert'"),
        ({"batch_size": -1}, ValueError, "batch_size"),
    ],
)
def test_wrong_arguments(make: Callable, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options)


def test_what_cannot_be_read(make: Callable, features: Path) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="4 regions, more than num_regions=3"):
        whole(make(num_regions=3))
    asked = [
        *ASKED,
        {"img_id": "lost", "sent": "Is it?", "label": "yes"},
        {"img_id": "one", "sent": "Is it?", "label": "perhaps"},
    ]
    with pytest.warns(BrokenFileWarning, match="without a known answer: 1 questions: 5 'Is it"):
        dataset = make(asked, on_error="skip")
    with pytest.warns(BrokenFileWarning, match="lacks the image 'lost'"):
        assert len(whole(dataset)[1]) == 4
    assert len(dataset.skipped) == 1


def test_features_of_another_width_are_left_out(make: Callable, tmp_path: Path) -> None:
    narrow = RegionFeatures("three", 200, 240, RECORDS["three"].boxes, np.ones((2, 8), "float32"))
    path = tmp_path / "mixed.tsv"
    write_region_features(path, [RECORDS["one"], RECORDS["two"], narrow])
    with pytest.warns(BrokenFileWarning, match="'three' has features of width 8, others of 2048"):
        assert len(whole(make(features=path, on_error="skip"))[1]) == 3


def test_fit_takes_it_as_it_is(make: Callable, checkpoint: Path) -> None:
    model = tfzoo.TFLxmertForQuestionAnswering.from_pretrained(checkpoint)
    model.compile(keras.optimizers.SGD(1e-3), metrics=["accuracy"], run_eagerly=True)
    history = model.fit(make(), shuffle=False, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    predicted = model.predict(make(answers=None), verbose=0)
    assert predicted.question_answering_score.shape == (4, 3)
