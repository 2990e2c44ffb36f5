"""What all tasks have in common: how they are loaded, what they are given, what they answer."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image
from tqdm import tqdm

from tfzoo.assets import Card
from tfzoo.auto import AutoConfig, AutoProcessor, model_class_for
from tfzoo.core.config import CONFIG_NAME, ConfigError, PretrainedConfig
from tfzoo.core.replacing import updating
from tfzoo.hub import DEFAULTS, HubOptions
from tfzoo.hub.download import is_address
from tfzoo.io.image_writer import write_image
from tfzoo.io.sampling import FrameChoice
from tfzoo.preprocessing.processor import SETTINGS_FILES
from tfzoo.tasks.inputs import batches, check_file, choice_of, read_ahead, split
from tfzoo.tasks.settings import checked

__all__ = ["Prediction", "Result", "Task", "percent", "ranking_lines"]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A label, its probability, and its place among the labels."""

    label: str
    score: float
    index: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Result(Sequence, abc.ABC):
    """The answer of a task to one input: a sequence of what was found, the best first.

    `str()` gives it in one line, `lines` as a table, `to_dict` in JSON's terms, `plot` as an image.

    Attributes:
        note: What to know of the answer, e.g. that it lies outside what the model was trained for.
        source: The input, as it was given.

    Class attributes:
        drawn_as: The suffix of a file that `plot` writes best.
    """

    drawn_as: ClassVar[str] = ".png"

    note: str | None = None
    source: Any = dataclasses.field(default=None, repr=False, compare=False)

    @property
    @abc.abstractmethod
    def rows(self) -> Sequence[Any]:
        """What was found, the best first."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __str__(self) -> str:
        return self.line() if self.note is None else f"{self.line()} ({self.note})"

    def to_dict(self) -> dict[str, Any]:
        """The answer in JSON's terms."""
        values = {
            name: _plain(value)
            for name, value in vars(self).items()
            if name not in ("note", "source") and value is not None
        }
        return values if self.note is None else {**values, "note": self.note}

    @abc.abstractmethod
    def line(self) -> str:
        """The answer in one line, without the note."""

    @abc.abstractmethod
    def lines(self) -> list[str]:
        """The answer in lines of text, without the note."""

    @abc.abstractmethod
    def draw(self) -> Image.Image:
        """The answer as an image, with what it is about; files are read once more."""

    def plot(self, path: str | os.PathLike[str] | None = None) -> Image.Image:
        """Draw the answer.

        Args:
            path: A file to write it to as well, whose suffix says in which format.

        Returns:
            The image.

        Raises:
            OSError: The input is a file that is no longer there, or `path` cannot be written.
            ValueError: `path` has a suffix of no format.
        """
        image = self.draw()
        if path is not None:
            write_image(image, Path(path))
        return image


def _plain(value: Any) -> Any:
    """Results within a result as dicts."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


@dataclasses.dataclass(frozen=True, eq=False)
class Task(abc.ABC):
    """A checkpoint that answers: call it with one input, a list, a folder or a generator.

    Keyword arguments are the task's settings, see each task. They stay as they are; a call may be
    given others. The model is called directly: for few inputs, tracing a graph as
    `keras.Model.predict` does would cost more than it saves.

    Args:
        model: The model.
        processor: Makes the model's inputs.
        batch_size: How many inputs the model sees at a time.
        card: Of a shipped checkpoint, for the notes of results.

    Class attributes:
        name: What `tfzoo.pipeline` calls the task.
        auto: The auto class of the models.
        only: Instead, the one class that does the task.
        processor_auto: The auto class of the processors; None if none is needed.
        does: What the models do, after "The model".
        kind: What one input is, see `tfzoo.tasks.inputs.split`; or "regions" (region features).
        needs: Settings of which a call needs one.

    Example:
        >>> import tfzoo
        >>> task = tfzoo.pipeline("video-classification", top_k=2)
        >>> result = task("clip.mp4")
        >>> len(result), result[0].label
        (2, 'still')
    """

    model: Any
    processor: Any = None
    batch_size: int = dataclasses.field(default=1, kw_only=True)
    card: Card | None = dataclasses.field(default=None, kw_only=True, repr=False)

    name: ClassVar[str] = ""
    auto: ClassVar[Any] = None
    only: ClassVar[type | None] = None
    processor_auto: ClassVar[Any] = AutoProcessor
    does: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in self.settings():
            object.__setattr__(self, name, checked(name, getattr(self, name)))

    @classmethod
    def settings(cls) -> tuple[str, ...]:
        """Names of the settings."""
        fields = dataclasses.fields(cls)
        return tuple(field.name for field in fields if field.kw_only and field.name != "card")

    @classmethod
    def check_names(cls, names: Iterable[str]) -> None:
        """Refuse what is not a setting.

        Raises:
            TypeError: One is not; the message suggests a name, and lists those that there are.
        """
        known = cls.settings()
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise TypeError(
                    f"{cls.name} has no setting {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else ".")
                    + f" It has {', '.join(known)}."
                )

    # ---- loading and saving
    @classmethod
    def model_class(cls, config: PretrainedConfig) -> type:
        """The class that does the task in a config's family.

        Raises:
            ConfigError: The family has no such class.
        """
        if cls.only is None:
            return cls.auto.class_for(config)
        wanted = model_class_for(config)
        if not issubclass(wanted, cls.only):
            able = cls.only.__name__.removeprefix("TF")
            raise ConfigError(f"{wanted.__name__}: only a {able} {cls.does}.")
        return wanted

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        config: PretrainedConfig | None = None,
        options: HubOptions = DEFAULTS,
        *,
        processor: Any = None,
        dtype: str | None = None,
        **settings: Any,
    ) -> Task:
        """Load a checkpoint for the task.

        Args:
            name: Folder, file in it, short name or repository name.
            config: Its configuration, if it was read before.
            options: Where to look.
            processor: The processor, where it is not that of the checkpoint.
            dtype: Dtype policy of the model.
            **settings: The task's own.

        Raises:
            ConfigError: The checkpoint is not of the class that does the task.
            HubError: Files are missing.
            TypeError: An unknown setting.
            ValueError: The weights, the processor or the settings do not fit the model.
        """
        cls.check_names(set(settings) - {"card"})
        where = options.keywords()
        config = AutoConfig.from_pretrained(name, **where) if config is None else config
        wanted = cls.model_class(config)
        if config.architectures and model_class_for(config) is not wanted:
            raise ConfigError(
                f"{name} is a {config.architectures[0]}, and only a "
                f"{wanted.__name__.removeprefix('TF')} {cls.does}."
            )
        if processor is None and cls.processor_auto is not None:
            processor = cls.processor_auto.from_pretrained(name, **where)
        return cls(wanted.from_pretrained(name, dtype=dtype, **where), processor, **settings)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the model and its processor, all files together.

        `tfzoo.pipeline(model=folder)`, `from_pretrained` and the commands take the folder. Names of
        labels are in its `config.json`.

        Args:
            folder: Folder, made where needed.

        Raises:
            OSError: The folder cannot be written. All files in it stay as they were.
        """
        with updating(Path(folder), gates=(CONFIG_NAME, *SETTINGS_FILES)) as new:
            self.model.save_pretrained(new)
            if self.processor is not None:
                self.processor.save_pretrained(new)

    # ---- answers
    def __call__(self, inputs: Any, *, progress: bool | None = None, **settings: Any) -> Any:
        """Answer.

        Args:
            inputs: One input: a path, an address of http or https, the bytes of a file, a Pillow
                image, an array, for videos also a list of frames; a text where the task takes
                texts. Or a list, a folder, an array with one more axis, or a generator of them.
                Inputs are read in a thread while those before them are worked on.
            progress: Whether a bar counts the inputs. Default: where there are several, it takes
                more than a second, and stderr is a terminal.
            **settings: Win over those of the task.

        Returns:
            A `Result` for one input, a list for several, an iterator for a generator; this gives
            the answers to all inputs before a broken one, and then raises.

        Raises:
            OSError: A file or address cannot be read.
            TypeError: An unknown setting, or an input of another kind.
            ValueError: The model does not take it, a setting is missing or out of range, or the
                outputs are not finite.
        """
        self.check_names(settings)
        task = dataclasses.replace(self, **settings) if settings else self
        if task.needs and all(getattr(task, name) is None for name in task.needs):
            raise ValueError(f"{task.name} needs {' or '.join(f'{n}=' for n in task.needs)}.")
        sources, is_one = task.split(inputs)
        if is_one:
            return task.finished(sources[0], task.answer([task.read(sources[0])])[0])
        results = task._results(sources, progress)
        return list(results) if isinstance(sources, list) else results

    def _results(self, sources: list[Any] | Iterator[Any], progress: bool | None) -> Iterator[Any]:
        """The answers to several inputs, batch by batch."""
        total = len(sources) if isinstance(sources, list) else None
        pairs = read_ahead(sources, self.read, 2 * self.batch_size)
        delay, disable = (0, not progress) if progress is not None else (1.0, None)
        bar = tqdm(total=total, unit="input", delay=delay, disable=disable)
        with contextlib.closing(pairs), bar:
            for batch in batches(pairs, self.batch_size):
                answers = self.answer([item for _, item in batch])
                for (source, _), answer in zip(batch, answers, strict=True):
                    bar.update()
                    yield self.finished(source, answer)

    @classmethod
    def split(cls, inputs: Any) -> tuple[list[Any] | Iterator[Any], bool]:
        """What the task is called with as single inputs, and whether it was one."""
        return split(inputs, cls.kind)

    @classmethod
    def gather(cls, inputs: Sequence[Any]) -> tuple[Iterable[Any], bool]:
        """Several paths and addresses as single inputs, and whether these are several.

        Raises:
            FileNotFoundError: A file does not exist.
            ValueError: A file is of another kind than the task takes.
        """
        parts = [cls.split(one) for one in inputs]
        if cls.kind != "regions":
            for path in chain.from_iterable(part for part, _ in parts):
                if not is_address(path):
                    check_file(Path(path), cls.kind)
        if cls.kind == "pair":
            return [tuple(inputs)], False
        return chain.from_iterable(part for part, _ in parts), len(parts) > 1 or not parts[0][1]

    def read(self, source: Any) -> Any:
        """Read one input for `answer`; texts need no reading.

        Raises:
            OSError: A file cannot be read.
            ValueError: It holds something else, or a video is too short.
        """
        return source

    @abc.abstractmethod
    def answer(self, items: Sequence[Any]) -> list[Any]:
        """Answer what was read, with a `Result` for each item.

        Raises:
            ValueError: The model does not take it, or its outputs are not finite.
        """

    def asked(self) -> Sequence[str]:
        """The texts that the model is asked about."""
        return ()

    def finished(self, source: Any, result: Result) -> Result:
        """A result with its input, and with a note where a shipped model does not know enough."""
        notes = [] if result.note is None else [result.note]
        asked = self.asked()
        if self.card and not (asked and all(map(self.card.knows_words_of, asked))):
            notes.append(self.card.note())
        return dataclasses.replace(result, source=source, note="; ".join(notes) or None)

    def frame_choice(self, num_frames: int | None = None) -> FrameChoice:
        """Which frames of a video are taken: as the checkpoint says, but for their number."""
        return choice_of(self.processor, self.model.config).with_given(num_frames=num_frames)


def percent(score: float) -> str:
    """A probability as text."""
    return f"{100 * score:.1f} %"


def ranking_lines(rows: Iterable[tuple[str, float]]) -> list[str]:
    """Labels with their probabilities, the best first, as lines of text."""
    return [
        f"{rank:3d}  {100 * score:6.2f} %  {label}" for rank, (label, score) in enumerate(rows, 1)
    ]
