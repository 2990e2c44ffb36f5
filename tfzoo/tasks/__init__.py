"""From inputs to answers: one file a task, one protocol for all, `tfzoo.tasks.base.Task`."""

from __future__ import annotations

import contextlib
import copy
import difflib
import importlib
import os
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfzoo.assets import card_of, shipped_for
from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.core.files import is_keras_file
from tfzoo.hub import HubFileNotFoundError, HubOptions

if TYPE_CHECKING:
    from tfzoo.tasks.base import Task

__all__ = ["TASKS", "pipeline", "task_asked_for", "task_class", "task_for"]

#: Where each task is, by the name that `pipeline` takes.
TASKS = {
    "video-classification": "video_classification.VideoClassification",
    "zero-shot-video-classification": "zero_shot_video.ZeroShotVideo",
    "zero-shot-object-detection": "zero_shot_object_detection.ZeroShotObjectDetection",
    "visual-question-answering": "visual_question_answering.VisualQuestionAnswering",
    "video-grounding": "video_grounding.VideoGrounding",
    "fill-mask": "fill_mask.FillMask",
    "text-classification": "text_classification.TextClassification",
    "image-classification": "image_classification.ImageClassification",
    "optical-flow": "optical_flow.OpticalFlow",
    "multimodal-autoencoding": "multimodal_autoencoding.MultimodalAutoencoding",
}


def pipeline(
    task: str | None = None,
    model: Any = None,
    *,
    processor: Any = None,
    tokenizer: Any = None,
    image_processor: Any = None,
    dtype: str | None = None,
    **options: Any,
) -> Task:
    """Make a task: questions in, answers out.

    Args:
        task: Its name, one of `tfzoo.tasks.TASKS`. Default: what the model was made for.
        model: Folder of a checkpoint, `.keras` file, short name (`tfzoo list`), repository name, or
            a loaded model. Default: the small checkpoint that ships with tfzoo for the task.
        processor: The processor, or its folder or name. Default: that of the checkpoint; of a
            `.keras` file, that in its folder.
        tokenizer: Another name of `processor`, for tasks of texts.
        image_processor: Another name of `processor`, for tasks of images.
        dtype: Dtype policy of the model, if it is loaded here.
        **options: `revision`, `cache_dir`, `local_files_only`, `token`; all others are settings of
            the task, e.g. `top_k`, which its calls may change.

    Returns:
        The task, see `tfzoo.tasks.base.Task`: call it with inputs.

    Raises:
        ConfigError: No task is for the model, or the model is not for the task.
        HubError: Files are missing.
        TypeError: An unknown setting, or a loaded model without its processor.
        ValueError: An unknown task, or neither a task nor a model.

    Example:
        >>> import tfzoo
        >>> classify = tfzoo.pipeline("video-classification")
        >>> result = classify("clip.mp4", top_k=3)
        >>> result[0].label, len(result)
        ('still', 3)
    """
    named = [part for part in (processor, tokenizer, image_processor) if part is not None]
    where, settings = HubOptions.split(options)
    if task is not None:
        task_class(task)  # its name is checked before anything is loaded
    is_default = model is None
    model = _shipped(task) if is_default else model
    is_loaded = not isinstance(model, (str, os.PathLike))
    if is_loaded:
        config = _config_of_model(model)
    else:
        from tfzoo.auto import AutoConfig

        config = AutoConfig.from_pretrained(model, **where.keywords())
    kind = task_for(config) if task is None else task_class(task)
    kind.check_names(settings)
    processor = _processor(kind, named, where)
    if is_loaded or is_keras_file(model):
        if dtype is not None:
            raise TypeError("dtype= is for checkpoints; this model has its own.")
        return _of_loaded(kind, model, processor, settings)
    card = card_of(model)
    if card is not None and not card.words and not is_default:
        card = None  # whoever names the model knows what it is for
    how = {"processor": processor, "dtype": dtype, "card": card}
    return kind.from_pretrained(model, config, where, **how, **settings)


def _processor(kind: type[Task], named: list[Any], options: HubOptions) -> Any:
    """The processor that was given, loaded if it is a name; None if none was."""
    if not named:
        return None
    if len(named) > 1:
        raise TypeError("Give one of processor=, tokenizer= and image_processor=.")
    if kind.processor_auto is None:
        raise TypeError(f"{kind.name} needs no processor.")
    if isinstance(named[0], (str, os.PathLike)):
        return kind.processor_auto.from_pretrained(named[0], **options.keywords())
    return named[0]


def _shipped(task: str | None) -> str:
    """The short name of the checkpoint that ships for a task."""
    if task is None:
        raise ValueError(
            f"Give a task, a model or both. The tasks are {', '.join(TASKS)}; `tfzoo list` shows "
            "models."
        )
    name = shipped_for(task)
    if name is None:
        raise ValueError(f"No checkpoint ships with tfzoo for {task}: name one by model=.")
    return name


def _of_loaded(kind: type[Task], model: Any, processor: Any, settings: dict[str, Any]) -> Task:
    """A task of a loaded model, or of one in Keras's own format, which has no processor."""
    if isinstance(model, (str, os.PathLike)):
        from tfzoo.auto import load_model

        if processor is None and kind.processor_auto is not None:
            processor = _processor_beside(kind, Path(model))
        model = load_model(model)
    wanted = kind.model_class(_config_of_model(model))
    if not isinstance(model, wanted):
        raise ConfigError(
            f"The model is a {type(model).__name__}, and only a {wanted.__name__} {kind.does}."
        )
    if processor is None and kind.processor_auto is not None:
        raise TypeError(
            f"{kind.name}: give processor= with a loaded model, as "
            f"tfzoo.{kind.processor_auto.__name__}.from_pretrained loads it."
        )
    return kind(model, processor, **settings)


def _processor_beside(kind: type[Task], path: Path) -> Any:
    try:
        return kind.processor_auto.from_pretrained(path.parent)
    except HubFileNotFoundError as error:
        raise HubFileNotFoundError(
            f"{path} holds no processor, and neither does its folder: name one by processor= "
            "(--processor), e.g. the checkpoint that it was made of."
        ) from error


def _config_of_model(model: Any) -> PretrainedConfig:
    """A loaded model's configuration, which names its class."""
    from tfzoo.modeling.base import TFPreTrainedModel

    if not isinstance(model, TFPreTrainedModel):
        raise TypeError(
            f"model: expected a name, a folder, a file or a model of tfzoo, got a "
            f"{type(model).__name__}."
        )
    config = copy.copy(model.config)
    config.architectures = [model.torch_class]
    return config


def task_class(name: str) -> type[Task]:
    """A task by its name.

    Raises:
        ValueError: There is no such task; the message suggests one, and lists those that there are.

    Example:
        >>> task_class("optical-flow").__name__
        'OpticalFlow'
    """
    if name not in TASKS:
        near = difflib.get_close_matches(str(name), TASKS, 1)
        raise ValueError(
            f"There is no task {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else ".")
            + f" The tasks are {', '.join(TASKS)}; a model is named by model=."
        )
    module, _, found = TASKS[name].rpartition(".")
    return getattr(importlib.import_module(f"tfzoo.tasks.{module}"), found)


def task_asked_for(settings: Container[str], inputs: Sequence[Any]) -> str:
    """The name of the task that settings and inputs ask for.

    Args:
        settings: Names of the settings that were given.
        inputs: Paths and addresses.

    Example:
        >>> task_asked_for(["candidate_labels"], ["photo.jpg"])
        'zero-shot-object-detection'
    """
    from tfzoo.tasks.inputs import are_still

    if "queries" in settings:
        return "video-grounding"
    if "question" in settings:
        return "visual-question-answering"
    if "query_image" in settings:
        return "zero-shot-object-detection"
    are_images = are_still(inputs)
    if "candidate_labels" in settings:
        return f"zero-shot-{'object-detection' if are_images else 'video-classification'}"
    return "optical-flow" if are_images and len(inputs) == 2 else "video-classification"


def task_for(config: PretrainedConfig) -> type[Task]:
    """The task that a checkpoint was made for.

    Args:
        config: The checkpoint's configuration; its architecture decides where the family has
            several tasks.

    Raises:
        ConfigError: The checkpoint is for a class that tfzoo lacks, or for one that has no task.

    Example:
        >>> import tfzoo
        >>> task_for(tfzoo.AutoConfig.from_pretrained("owlv2/")).__name__
        'ZeroShotObjectDetection'
    """
    from tfzoo.auto import model_class_for

    able = {}
    for task in map(task_class, TASKS):
        with contextlib.suppress(ConfigError):
            able[task.model_class(config)] = task
    wanted = model_class_for(config)
    if wanted in able:
        return able[wanted]
    if len(able) == 1:
        return next(iter(able.values()))
    names = ", ".join(cls.__name__ for cls in able) or "none of its family"
    raise ConfigError(
        f"{wanted.__name__} has no task: expected a checkpoint that was made for one, of "
        f"{config.model_type} {names}."
    )
