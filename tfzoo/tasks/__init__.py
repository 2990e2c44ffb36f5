"""From inputs to answers: one file a task, one protocol for all, `tfzoo.tasks.base.Task`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tfzoo.core.config import ConfigError, PretrainedConfig

if TYPE_CHECKING:
    from tfzoo.tasks.base import Task

__all__ = ["task_for"]


def task_for(config: PretrainedConfig) -> type[Task]:
    """The task that a checkpoint was made for.

    Args:
        config: The checkpoint's configuration; its architecture decides where the family has
            several tasks.

    Returns:
        The task; if there is none, classification of videos, which refuses the checkpoint.

    Raises:
        ConfigError: The checkpoint is for a class that tfzoo lacks.

    Example:
        >>> import tfzoo
        >>> task_for(tfzoo.AutoConfig.from_pretrained("owlv2/")).__name__
        'ZeroShotObjectDetection'
    """
    from tfzoo.auto import model_class_for
    from tfzoo.tasks.fill_mask import FillMask
    from tfzoo.tasks.image_classification import ImageClassification
    from tfzoo.tasks.optical_flow import OpticalFlow
    from tfzoo.tasks.video_classification import VideoClassification
    from tfzoo.tasks.video_grounding import VideoGrounding
    from tfzoo.tasks.zero_shot_object_detection import ZeroShotObjectDetection
    from tfzoo.tasks.zero_shot_video import ZeroShotVideo

    tasks: tuple[type[Task], ...] = (
        VideoClassification,
        ZeroShotVideo,
        ZeroShotObjectDetection,
        VideoGrounding,
        FillMask,
        ImageClassification,
        OpticalFlow,
    )
    able = {}
    for task in tasks:
        with contextlib.suppress(ConfigError):
            able[task.model_class(config)] = task
    if len(able) == 1:
        return next(iter(able.values()))
    return able.get(model_class_for(config), VideoClassification)
