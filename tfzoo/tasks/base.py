"""What all tasks have in common: how they are loaded, what they are given, what they answer."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from tfzoo.auto import AutoConfig, AutoProcessor, model_class_for
from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.hub import DEFAULTS, HubOptions

__all__ = ["Prediction", "Progress", "Result", "Task", "ranking_lines"]

Progress = Callable[[int, int], None] | bool  # as `tfzoo.read_video` takes it


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A label, its probability, and its place among the labels."""

    label: str
    score: float
    index: int


@dataclasses.dataclass(frozen=True)
class Result(abc.ABC):
    """The answer of a task, in plain values."""

    def to_dict(self) -> dict[str, Any]:
        """The answer in JSON's terms."""
        return dataclasses.asdict(self)

    @abc.abstractmethod
    def lines(self) -> list[str]:
        """The answer in lines of text."""


@dataclasses.dataclass(eq=False)
class Task(abc.ABC):
    """A checkpoint that answers: `read` the inputs, then `answer` what they hold.

    Keyword arguments are a task's settings; those without a default are needed. A task whose
    answers can be drawn has a method `draw(inputs, result)`. The model is called directly: for one
    input, tracing a graph as `keras.Model.predict` does would cost more than it saves.

    Args:
        model: The model.
        processor: Makes the model's inputs.

    Class attributes:
        auto: The auto class of the models.
        processor_auto: The auto class of the processors; None if none is needed.
        does: What the models do, after "The model".
        inputs: What `read` takes: "clip" (video, animation, folder of frames or image), "video",
            "image", "regions" (a file of region features) or "text".
    """

    model: Any
    processor: Any

    auto: ClassVar[Any] = None
    processor_auto: ClassVar[Any] = AutoProcessor
    does: ClassVar[str] = ""
    inputs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def model_class(cls, config: PretrainedConfig) -> type:
        """The class that does the task in a config's family.

        Raises:
            ConfigError: The family has no such class.
        """
        return cls.auto.class_for(config)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        config: PretrainedConfig | None = None,
        options: HubOptions = DEFAULTS,
        **settings: Any,
    ) -> Task:
        """Load a checkpoint for the task.

        Args:
            name: Folder, file in it, or repository name.
            config: Its configuration, if it was read before.
            options: Where to look.
            **settings: The task's own.

        Raises:
            ConfigError: The checkpoint is not of the class that does the task.
            HubError: Files are missing.
            ValueError: The weights, the processor or the settings do not fit the model.
        """
        where = options.keywords()
        config = AutoConfig.from_pretrained(name, **where) if config is None else config
        wanted = cls.model_class(config)
        if config.architectures and model_class_for(config) is not wanted:
            raise ConfigError(
                f"{name} is a {config.architectures[0]}, and only a "
                f"{wanted.__name__.removeprefix('TF')} {cls.does}."
            )
        auto = cls.processor_auto
        processor = None if auto is None else auto.from_pretrained(name, **where)
        return cls(wanted.from_pretrained(name, **where), processor, **settings)

    @abc.abstractmethod
    def read(self, *inputs: Any, progress: Progress = False) -> Any:
        """Read files (or take a text) for `answer`; `progress` is told how far a video is.

        Raises:
            OSError: A file cannot be read.
            ValueError: It holds something else, or a video is too short.
        """

    @abc.abstractmethod
    def answer(self, inputs: Any) -> Any:
        """Answer what was read, with a `Result` or something that has its methods.

        Raises:
            ValueError: The model does not take it, or its outputs are not finite.
        """


def ranking_lines(rows: Iterable[tuple[str, float]]) -> list[str]:
    """Labels with their probabilities, the best first, as lines of text."""
    return [
        f"{rank:3d}  {100 * score:6.2f} %  {label}" for rank, (label, score) in enumerate(rows, 1)
    ]
