"""The readers that need TensorFlow or Keras: training sets, models, and what goes into models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import seeds
from tests.fuzz.judge import Prepared, check
from tests.fuzz.mutants import Files

_REASON = re.compile(r"DataError: (.*?)(?:\n\s*\nTraceback|\n\s*$|\Z)", re.DOTALL)


def _batches(dataset: Any) -> list[Any]:
    """All batches; what `tf.data` makes of a `DataError` becomes one again."""
    import tensorflow as tf

    from tfzoo.data import DataError

    try:
        return list(dataset)
    except tf.errors.InvalidArgumentError as error:
        reason = _REASON.search(error.message)
        if reason is None:
            raise
        raise DataError(reason[1]) from None


def _right_batches(batches: list[Any]) -> None:
    import tensorflow as tf

    check(bool(batches), "a set without batches")
    for value in tf.nest.flatten(batches):
        check(bool(np.isfinite(value.numpy()).all()), "a value that is not finite")


def _how(folder: Path) -> dict[str, Any]:
    """The arguments of every set."""
    skips = (folder / seeds.SKIP).exists()
    how = {"on_error": "skip" if skips else "raise", "shuffle": False}
    return {**how, "batch_size": 2, "workers": 1, "progress": False}


def detections() -> Prepared:
    import tfzoo
    from tfzoo.data import detection_dataset_from_coco

    processor = tfzoo.Owlv2Processor.from_pretrained(seeds.ASSETS / "owlv2-shapes")

    def read(folder: Path) -> Any:
        boxes = folder / "boxes.json"
        return _batches(detection_dataset_from_coco(boxes, folder, processor, **_how(folder)))

    return Prepared(read, _right_batches, [detection_dataset_from_coco])


def questions() -> Prepared:
    import tfzoo
    from tfzoo.data import question_dataset_from_tsv

    tokenizer = tfzoo.LxmertTokenizerFast.from_pretrained(seeds.ASSETS / "lxmert-easy-vqa")

    def read(folder: Path) -> Any:
        kept, how = folder / "_regions.tsv", _how(folder)
        table = kept if kept.exists() else folder / "regions.tsv"
        asked, known = folder / "questions.json", ["yes", "no"]
        made = question_dataset_from_tsv(table, asked, tokenizer, answers=known, **how)
        return _batches(made)

    return Prepared(read, _right_batches, [question_dataset_from_tsv])


def moments() -> Prepared:
    import tfzoo
    from tfzoo.data import grounding_dataset_from_charades

    processor = tfzoo.TvpProcessor.from_pretrained(seeds.ASSETS / "tvp-pans")

    def read(folder: Path) -> Any:
        lines, how = folder / "moments.txt", _how(folder)
        return _batches(grounding_dataset_from_charades(lines, folder, processor, 4, **how))

    return Prepared(read, _right_batches, [grounding_dataset_from_charades])


# -- models ---------------------------------------------------------------------------------------


@cache
def _cases() -> dict[str, Any]:
    """The cases of the families' tests by their names."""
    from tests.support.families import declared

    return {case.name: case for cases in declared("cases", "CASES").values() for case in cases}


def models() -> Prepared:
    """A whole checkpoint: loaded, and called with the inputs that fit the sound one."""
    import keras

    from tfzoo.auto import load_checkpoint
    from tfzoo.core.outputs import ModelOutput
    from tfzoo.modeling.base import TFPreTrainedModel

    def read(folder: Path) -> Any:
        model = load_checkpoint(folder)
        case = _cases()[(folder / seeds.CASE).read_text()]
        weights = folder / "model.safetensors"
        is_sound = weights.read_bytes() == (case.folder / weights.name).read_bytes()
        outputs = model(**case.make_inputs(with_labels=False), return_dict=True)
        return model, outputs, is_sound

    def right(found: Any) -> None:
        model, outputs, is_sound = found
        check(isinstance(model, TFPreTrainedModel), f"a {type(model).__name__}")
        check(isinstance(outputs, ModelOutput), f"a {type(outputs).__name__}")
        main = keras.ops.convert_to_numpy(outputs[model.main_output])
        check(not is_sound or bool(np.isfinite(main).all()), "sound weights, outputs of NaN")

    whole = TFPreTrainedModel
    return Prepared(read, right, [load_checkpoint, whole.from_pretrained, whole.__call__])


_TINY = ("timesformer/joint", "perceiver/widths", "xclip/text")


def adapter_seeds() -> Iterator[Files]:
    for name in _TINY[:2]:
        model = _cases()[name].load()
        model.enable_lora(2, alpha=4, train="classifier" if "timesformer" in name else None)
        yield {**seeds.made(model.save_adapters), seeds.CASE: name.encode()}


def adapters() -> Prepared:
    from tfzoo.modeling.base import TFPreTrainedModel

    loaded: dict[str, Any] = {}

    def read(folder: Path) -> Any:
        name = (folder / seeds.CASE).read_text()
        model = loaded.pop(name, None) or _cases()[name].load()
        before = [variable.numpy() for variable in model.weights]
        try:
            model.load_adapters(folder)
        except Exception:
            after = [variable.numpy() for variable in model.weights]
            same = len(before) == len(after) and all(map(np.array_equal, before, after))
            check(same and model._adapters is None, "refused, but the model has changed")
            loaded[name] = model
            raise
        return model, _cases()[name]

    def right(found: Any) -> None:
        model, case = found
        output = model(**case.make_inputs(with_labels=False), return_dict=True)
        check(output[model.main_output] is not None, "no output")
        check(model._adapters.alpha > 0, f"alpha is {model._adapters.alpha}")

    return Prepared(read, right, [TFPreTrainedModel.load_adapters])


def keras_seeds() -> Iterator[Files]:
    for name in _TINY:
        model = _cases()[name].load()
        files = seeds.made(lambda folder, model=model: model.save(folder / "model.keras"))
        yield {**files, seeds.CASE: name.encode()}


def keras_files() -> Prepared:
    from tfzoo.auto import load_model
    from tfzoo.modeling.base import TFPreTrainedModel

    def right(model: Any) -> None:
        check(isinstance(model, TFPreTrainedModel), f"a {type(model).__name__}")

    return Prepared(lambda folder: load_model(folder / "model.keras"), right, [load_model])


def weight_seeds() -> Iterator[Files]:
    model = _cases()[_TINY[0]].load()
    yield seeds.made(lambda folder: model.save_weights(folder / "model.weights.h5"))
    half = sum(variable.numpy().nbytes for variable in model.weights) / 2**31

    def write(folder: Path) -> None:
        model.save_weights(folder / "model.weights.json", max_shard_size=half)

    yield seeds.made(write)


def keras_weights() -> Prepared:
    from tfzoo.modeling.base import TFPreTrainedModel

    model = _cases()[_TINY[0]].load()

    def read(folder: Path) -> Any:
        whole = folder / "model.weights.h5"
        model.load_weights(whole if whole.exists() else folder / "model.weights.json")

    return Prepared(read, lambda found: None, [TFPreTrainedModel.load_weights])
