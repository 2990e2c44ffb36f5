"""What `tfzoo predict` asks for the labels of a video, whatever the family.

A checkpoint either has labels of its own, those it was trained on, or compares videos with texts;
then the labels are whatever the user says.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfzoo.cli.console import UsageError

__all__ = ["Classifier", "check_architecture", "check_labels", "load"]


def check_labels(labels: Sequence[str], template: str | None) -> None:
    """Refuse labels and templates that cannot be meant.

    Raises:
        UsageError: A label is empty or named twice, or the template has no place for it.
    """
    for number, label in enumerate(labels):
        if not label.strip():
            raise UsageError(f"--labels: label {number + 1} is empty.")
        if label in labels[:number]:
            raise UsageError(f"--labels: {label!r} is named twice.")
    if template is not None and "{}" not in template:
        raise UsageError(
            f"--template must hold {{}} where the label goes, e.g. 'a photo of {{}}', "
            f"got {template!r}."
        )


@dataclass(frozen=True)
class Classifier:
    """A model that scores labels, and how it wants its videos.

    Attributes:
        logits: From `pixel_values` (1, T, C, height, width) to (rows, number of labels); of a
            model that looks at each frame alone a row for each, whose mean counts.
        processor: Makes them of frames.
        labels: Name of each label.
        num_frames: T.
        sampling: How the frames are chosen, as keywords of `tfzoo.read_video`.
        independent: Whether several labels can be true at once.
    """

    logits: Callable[[np.ndarray], Any]
    processor: Any
    labels: Mapping[int, str]
    num_frames: int
    sampling: Mapping[str, Any]
    independent: bool = False

    def scores(self, frames: np.ndarray) -> np.ndarray:
        """Probability of each label, (number of labels,), for frames (T, height, width, C).

        Raises:
            ValueError: The model does not take these frames, or its logits are not finite.
        """
        import keras

        inputs = self.processor(list(frames), return_tensors="np")
        # Called directly: for one clip, tracing a graph as `predict` does would cost more than
        # it wins.
        logits = keras.ops.cast(self.logits(inputs["pixel_values"]), "float32")
        logits = keras.ops.convert_to_numpy(logits).astype("float64").mean(axis=0)
        if not np.isfinite(logits).all():
            raise ValueError(
                "The model's logits are not finite: its weights are damaged or overflow."
            )
        if self.independent:
            return 1 / (1 + np.exp(-logits))
        odds = np.exp(logits - logits.max())
        return odds / odds.sum()


def load(
    name: str,
    config: Any,
    labels: Sequence[str] | None,
    template: str | None,
    where: Mapping[str, Any],
) -> Classifier:
    """Load a checkpoint as a classifier of videos.

    Args:
        name: Folder or repository name.
        config: Its configuration.
        labels: The user's labels; None for the checkpoint's own.
        template: Sentence with `{}` where a label goes; None for the label alone.
        where: Keywords of `from_pretrained` that say where to look.

    Raises:
        UsageError: Labels were given and the checkpoint has its own, or none and it needs them.
        ConfigError: The checkpoint is of no model that classifies videos.
        HubError: Files are missing.
        ValueError: The weights, tokenizer or labels do not fit the model.
    """
    from tfzoo.auto import TFAutoModel

    takes_labels = hasattr(TFAutoModel.class_for(config), "zero_shot_classifier")
    if takes_labels and labels is None:
        raise UsageError(
            f"{name} compares videos with texts and has no labels of its own: name some with "
            "--labels."
        )
    if takes_labels:
        return _of_texts(name, config, labels, template, where)
    if labels is not None:
        raise UsageError(
            f"{name} is a checkpoint of model_type {config.model_type!r}, which does not compare "
            "videos with texts: leave --labels out, or choose another --model."
        )
    return _of_own_labels(name, config, where)


def _of_own_labels(name: str, config: Any, where: Mapping[str, Any]) -> Classifier:
    from tfzoo.auto import AutoImageProcessor, TFAutoModelForVideoClassification

    wanted = TFAutoModelForVideoClassification.class_for(config)
    check_architecture(name, config, wanted, "has no trained classifier of videos")
    processor = AutoImageProcessor.from_pretrained(name, **where)
    model = wanted.from_pretrained(name, **where)
    return Classifier(
        lambda pixels: model(pixel_values=pixels, training=False, return_dict=True).logits,
        processor,
        config.id2label,
        config.num_frames,
        _sampling(config),
        config.problem_type == "multi_label_classification",
    )


def _of_texts(
    name: str, config: Any, labels: Sequence[str], template: str | None, where: Mapping[str, Any]
) -> Classifier:
    from tfzoo.auto import AutoImageProcessor, AutoTokenizer, TFAutoModel

    wanted = TFAutoModel.class_for(config)
    check_architecture(name, config, wanted, "does not compare videos with texts")
    processor = AutoImageProcessor.from_pretrained(name, **where)
    tokenizer = AutoTokenizer.from_pretrained(name, **where)
    model = wanted.from_pretrained(name, **where)
    sentence = "{}" if template is None else template
    with warnings.catch_warnings():  # of what the model then refuses
        warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
        scorer = model.zero_shot_classifier(labels, sentence, tokenizer)
    return Classifier(
        scorer,
        processor,
        dict(enumerate(labels)),
        config.vision_config.num_frames,
        _sampling(config),
    )


def check_architecture(name: str, config: Any, wanted: type, lack: str) -> None:
    """Refuse a checkpoint of another part of the family.

    Raises:
        ConfigError: It is one.
    """
    from tfzoo.auto import model_class_for
    from tfzoo.core.config import ConfigError

    if config.architectures and model_class_for(config) is not wanted:
        raise ConfigError(
            f"{name} is a {config.architectures[0]}, which {lack}; "
            f"expected a {wanted.__name__.removeprefix('TF')}."
        )


def _sampling(config: Any) -> dict[str, Any]:
    """How frames are chosen: spread over the video, unless the checkpoint's config says else."""
    return {
        "sampling": getattr(config, "sampling", "uniform"),
        "frame_sample_rate": getattr(config, "frame_sample_rate", 1),
    }
