"""Export of a model and its processor as a version that TensorFlow Serving can load."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfzoo.core.file_system import check_space, writing
from tfzoo.core.replacing import replacing
from tfzoo.export.endpoint import (
    DEFAULT,
    Endpoint,
    ServingError,
    ServingOptions,
    default_endpoint,
)
from tfzoo.export.graph.answers import answered
from tfzoo.export.saved_model import write_batching, write_warmup
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.registry import family_of

__all__ = ["export_serving"]

_GRAPHS = 2**25  # bytes that the graphs take beside the weights, at most


def export_serving(
    model: TFPreTrainedModel,
    processor: Any,
    path: str | Path,
    version: int = 1,
    labels: Sequence[str] | None = None,
    warmup: bool = True,
    *,
    signatures: Sequence[str] | None = None,
    **options: Any,
) -> Path:
    """Write a SavedModel that takes images, clips or texts and answers in the user's terms.

    Its signatures are those of the model's family, with the preprocessing inside, and
    `serving_default`, the model's documented call. Every signature is run on an example first. The
    version appears whole or not at all, so that a server may watch `path` meanwhile.

    Args:
        model: A model with a head, e.g. `TFTimesformerForVideoClassification`.
        processor: The checkpoint's processor.
        path: Folder of the model, which holds one folder for each version; its name is the name
            that the model is to be served under.
        version: Number of the version to write.
        labels: Name of each class where the config's are not wanted.
        warmup: Write a request of each signature for the server to run before it answers others.
        signatures: Names of the signatures to write; all where None. Without `serving_default`
            among them, the first one also gets that name.
        **options: Further fields of `tfzoo.export.ServingOptions` that the family takes, e.g.
            `queries` of a detector, or `top_k`.

    Returns:
        The folder of the version.

    Raises:
        ServingError: Model, processor and options do not go together.
        TypeError: An option that does not exist, or something else than a model of tfzoo.
        FileExistsError: The version exists.
        OSError: The disk is full, or the folder cannot be written. Nothing half-written stays.

    Example:
        >>> import tempfile, tfzoo
        >>> model = tfzoo.TFAutoModelForVideoClassification.from_pretrained("checkpoint")
        >>> processor = tfzoo.AutoImageProcessor.from_pretrained("checkpoint")
        >>> tfzoo.export_serving(model, processor, tempfile.mkdtemp() + "/camera", top_k=3).name
        '1'
    """
    folder = _version_folder(path, version)
    family = _family(model)
    chosen = _options(family, type(model).__name__, {"labels": labels, **options})
    _check_space(model, folder)
    offered = [default_endpoint(model), *family.endpoints(model, processor, chosen)]
    endpoints = _selected(offered, signatures)
    archive = keras.export.ExportArchive()
    keeps_rows = [_add(archive, endpoint) for endpoint in endpoints]
    if DEFAULT not in [endpoint.name for endpoint in endpoints]:  # Keras makes it the first one
        endpoints = [*endpoints, replace(endpoints[0], name=DEFAULT)]
    _publish(archive, folder, endpoints if warmup else [], all(keeps_rows))
    return folder


def _version_folder(path: str | Path, version: Any) -> Path:
    """The folder of the version, which must not exist."""
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**63:
        raise ServingError(
            f"version must be a whole number from 0, as TensorFlow Serving counts; got {version!r}."
        )
    base = Path(path)
    folder = base / str(version)
    if os.path.lexists(folder):
        there = sorted(int(item.name) for item in base.iterdir() if item.name.isdecimal())
        raise FileExistsError(
            f"{folder} exists, and a version is never changed: the next free one is "
            f"{there[-1] + 1}."
        )
    if (base / "saved_model.pb").is_file():
        raise FileExistsError(
            f"{base} is a SavedModel itself: name the folder that is to hold its versions."
        )
    return folder


def _family(model: Any) -> ModuleType:
    """The `serving` module of the model's family."""
    if not isinstance(model, TFPreTrainedModel):
        raise TypeError(f"export_serving takes a model of tfzoo, got {type(model).__name__}.")
    if keras.backend.backend() != "tensorflow":
        raise ServingError(
            "A SavedModel is written by Keras's TensorFlow backend, this is "
            f"{keras.backend.backend()}: save the model, and export it where KERAS_BACKEND is "
            "tensorflow."
        )
    name = f"{family_of(model.base_model_type).package}.serving"
    if importlib.util.find_spec(name) is None:
        raise ServingError(
            f"{type(model).__name__} has no signatures of its own: model.export(path) serves it "
            "as it is."
        )
    return importlib.import_module(name)


def _options(family: ModuleType, owner: str, given: Mapping[str, Any]) -> ServingOptions:
    """The options given, each of which the family must take."""
    given = {name: value for name, value in given.items() if value is not None}
    every = ServingOptions.names()
    taken = [name for name in every if name in family.OPTIONS]
    for name in given:
        if name not in every:
            near = difflib.get_close_matches(name, [*taken, "signatures", "warmup", "version"], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"{owner} takes {', '.join(taken)}."
            raise TypeError(f"export_serving got an unknown option {name!r}; {hint}")
        if name not in taken:
            raise ServingError(f"{owner} takes no {name}; its options: {', '.join(taken)}.")
    return ServingOptions(**given)


def _check_space(model: TFPreTrainedModel, folder: Path) -> None:
    """Refuse what would not fit before anything is computed."""
    sizes = [
        tf.TensorShape(w.shape).num_elements() * tf.as_dtype(w.dtype).size for w in model.weights
    ]
    check_space(folder, sum(sizes) + _GRAPHS)


def _selected(offered: Sequence[Endpoint], names: Sequence[str] | None) -> Sequence[Endpoint]:
    """The endpoints of the given names, in that order."""
    if names is None:
        return offered
    if isinstance(names, str) or not names:
        what = "an empty one" if not names else f"the one text {names!r}"
        raise ServingError(f"signatures must be a list of names, got {what}.")
    by_name = {endpoint.name: endpoint for endpoint in offered}
    for name in names:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ServingError(
                f"There is no signature {name!r} here; {hint}There are {', '.join(by_name)}."
            )
    return [by_name[name] for name in dict.fromkeys(names)]


def _add(archive: Any, endpoint: Endpoint) -> bool:
    """Trace an endpoint into the archive and run it; returns whether it keeps rows apart."""
    signature = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in endpoint.inputs.items()
    }
    function = archive.add_endpoint(
        endpoint.name, lambda inputs: answered(endpoint, inputs), input_signature=[signature]
    )
    keeps_rows = _try_out(endpoint, function)
    if endpoint.name != DEFAULT and not keeps_rows:
        raise ServingError(f"{endpoint.name} does not give one answer for each row of a request.")
    return keeps_rows


def _try_out(endpoint: Endpoint, function: Callable[[Mapping[str, Any]], Any]) -> bool:
    """Run a traced signature on its example, and on the example twice in one batch.

    Returns:
        Whether each output has a row for each row of the inputs, of a shape that does not depend on
        their number: only then may a server put requests together.
    """
    double = {name: np.concatenate([value] * 2) for name, value in endpoint.example.items()}
    once, twice = (_run(endpoint, function, inputs) for inputs in (endpoint.example, double))
    rows = {len(value) for value in endpoint.example.values()}
    return len(rows) == 1 and all(
        value.shape[:1] == list(rows) and twice[name].shape == [2 * len(value), *value.shape[1:]]
        for name, value in once.items()
    )


def _run(endpoint: Endpoint, function: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    tensors = {
        name: tf.constant(value, endpoint.inputs[name].dtype) for name, value in inputs.items()
    }
    try:
        outputs = function(tensors)
    except tf.errors.OpError as error:
        raise ServingError(f"{endpoint.name} does not run: {error.message}") from error
    for name, value in outputs.items():
        if value.dtype.is_floating and not np.isfinite(tf.cast(value, "float32")).all():
            raise ServingError(
                f"{endpoint.name}: {name} is not finite for a valid request: the model's weights "
                "are damaged or overflow."
            )
    return outputs


def _publish(archive: Any, folder: Path, warm_up: Sequence[Endpoint], can_be_batched: bool) -> None:
    """Write the version beside its place, under a name that is not a number, and move it there."""
    with writing(folder), replacing(folder, force=False) as unfinished:
        archive.write_out(str(unfinished), verbose=False)
        if warm_up:
            write_warmup(unfinished, folder.parent.name, warm_up)
        if can_be_batched:
            write_batching(unfinished)
