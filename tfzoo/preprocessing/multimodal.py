"""The base of processors for texts and images: an image processor and a tokenizer side by side."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfzoo.core.files import read_json, write_json
from tfzoo.core.replacing import updating
from tfzoo.core.warn import warn
from tfzoo.hub import HubOptions
from tfzoo.hub.upload import PushMixin
from tfzoo.preprocessing.processor import SETTINGS_FILES, BaseImageProcessor, BatchFeature

if TYPE_CHECKING:
    from tfzoo.text.tokenizer import BaseTokenizer

__all__ = ["BaseProcessor"]

_TOKENIZER_CONFIG = "tokenizer_config.json"
_OF_IMAGES, _OF_TEXT, _OF_BOTH = (
    ("images_kwargs", "videos_kwargs"),
    ("text_kwargs",),
    "common_kwargs",
)


class BaseProcessor(PushMixin):
    """Base of the processors that prepare texts and images (or videos) in one call.

    A subclass names the classes of its parts and writes `__call__` with its documented arguments,
    which it passes to `_prepare`.

    Args:
        image_processor: Prepares the images.
        tokenizer: Prepares the texts.
        feature_extractor: The image processor's old name; it warns.

    Raises:
        TypeError: A part is missing or of another class.

    Attributes:
        image_processor_class: The class of the image processor.
        tokenizer_classes: The classes of the tokenizer; `from_pretrained` makes the first.
        text_defaults: Arguments of the tokenizer that differ from its own defaults.
        missing_error: What a missing part raises.
    """

    image_processor_class: ClassVar[type[BaseImageProcessor]] = BaseImageProcessor
    tokenizer_classes: ClassVar[tuple[type, ...]] = ()
    text_defaults: ClassVar[Mapping[str, Any]] = {}
    missing_error: ClassVar[type[Exception]] = TypeError

    def __init__(
        self,
        image_processor: BaseImageProcessor | None = None,
        tokenizer: BaseTokenizer | None = None,
        *,
        feature_extractor: BaseImageProcessor | None = None,
    ) -> None:
        if feature_extractor is not None:
            if image_processor is not None:
                raise TypeError(
                    "feature_extractor is the old name of image_processor; give one of them."
                )
            _warn_of_old_name()
            image_processor = feature_extractor
        self.image_processor = self._part(
            "image_processor", image_processor, (self.image_processor_class,)
        )
        self.tokenizer = self._part("tokenizer", tokenizer, self.tokenizer_classes)

    def _part(self, name: str, value: Any, classes: tuple[type, ...]) -> Any:
        if not isinstance(value, classes):
            accepted = " or ".join(cls.__name__ for cls in classes)
            got = "none" if value is None else f"a {type(value).__name__}"
            raise (self.missing_error if value is None else TypeError)(
                f"{type(self).__name__} needs {name}= of class {accepted}, got {got}. "
                "from_pretrained makes both parts from a checkpoint's folder."
            )
        return value

    @property
    def feature_extractor(self) -> BaseImageProcessor:
        """The old name of `image_processor`; it warns."""
        _warn_of_old_name()
        return self.image_processor

    @property
    def model_input_names(self) -> list[str]:
        """The names in a result, those of images first."""
        return [*self.image_processor.model_input_names, *self.tokenizer.model_input_names]

    def _prepare(
        self, text: Any, images: Any, return_tensors: str | None, keywords: Mapping[str, Any]
    ) -> BatchFeature:
        """Run each part that has something to do.

        Raises:
            ValueError: Nothing to do, or a keyword that came twice.
            TypeError: A keyword that the part does not know.
        """
        for_images, for_text = self._route(keywords, return_tensors)
        if text is None and images is None:
            raise ValueError(f"{type(self).__name__} was given neither text nor images or videos.")
        features: dict[str, Any] = {}
        if images is not None:
            features.update(self.image_processor(images, **for_images))
        if text is not None:
            features.update(self.tokenizer(text, **for_text))
        return BatchFeature(features)

    def _route(
        self, keywords: Mapping[str, Any], return_tensors: str | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keywords of the image processor and those of the tokenizer.

        A keyword by itself, or in `common_kwargs`, goes to each part that knows it; those in
        `text_kwargs`, `images_kwargs` and `videos_kwargs` go to one part.

        Raises:
            TypeError: A keyword that the part does not know, or something else than a dict.
            ValueError: A keyword that came twice.
        """
        owner, dicts = type(self).__name__, {}
        for name in (*_OF_IMAGES, *_OF_TEXT, _OF_BOTH):
            dicts[name] = {} if keywords.get(name) is None else keywords[name]
            if not isinstance(dicts[name], Mapping):
                raise TypeError(f"{owner}: {name} must be a dict, got {dicts[name]!r:.100}.")
        of_images = _keywords(self.image_processor.preprocess)
        of_text = _keywords(self.tokenizer.__call__)
        alone = {name: value for name, value in keywords.items() if name not in dicts}
        both, routed = (alone, dicts[_OF_BOTH]), []
        unknown = {*alone, *dicts[_OF_BOTH]} - {*of_images, *of_text}
        for known, sections in ((of_images, _OF_IMAGES), (of_text, _OF_TEXT)):
            own = [dicts[name] for name in sections]
            unknown |= {name for given in own for name in given} - {*known}
            names = [name for given in (*own, *both) for name in given if name in known]
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{owner}: {', '.join(sorted(twice))} came twice; give it once.")
            values = {k: v for given in (*own, *both) for k, v in given.items() if k in known}
            routed.append({"return_tensors": return_tensors, **values})
        if unknown:
            raise TypeError(
                f"{owner} got an unexpected keyword {', '.join(map(repr, sorted(unknown)))}. "
                f"Keywords for texts: {', '.join(of_text)}; for images or videos: "
                f"{', '.join(of_images)}."
            )
        return routed[0], {**self.text_defaults, **routed[1]}

    def decode(self, *args: Any, **kwargs: Any) -> str:
        """The same as `tokenizer.decode`: one row of ids back to text."""
        return self.tokenizer.decode(*args, **kwargs)

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """The same as `tokenizer.batch_decode`: rows of ids back to texts."""
        return self.tokenizer.batch_decode(*args, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        subfolder: str | None = "",
        **overrides: Any,
    ) -> BaseProcessor:
        """Make both parts from a checkpoint's files.

        Args:
            name_or_path: A folder, a file in it, or a hub name.
            revision: Branch, tag or commit on the hub.
            cache_dir: Folder of the hub's cache.
            local_files_only: Never download.
            token: Access token of the hub.
            subfolder: Folder of the checkpoint inside of the repository or folder.
            **overrides: Settings that win over the files': fields of the image processor, and
                settings of the tokenizer.

        Returns:
            The processor.

        Raises:
            HubError: Files are missing.
            ValueError: Files are not JSON, or meant for other classes.
            TypeError: An override that neither part knows.
        """
        where = HubOptions(revision, cache_dir, local_files_only, token, subfolder).keywords()
        path = Path(name_or_path)
        name_or_path = path.parent if path.is_file() else name_or_path
        fields = cls.image_processor_class.fields
        for_images = {name: overrides.pop(name) for name in list(overrides) if name in fields}
        return cls(
            cls.image_processor_class.from_pretrained(name_or_path, **where, **for_images),
            cls.tokenizer_classes[0].from_pretrained(name_or_path, **where, **overrides),
        )

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Write both parts' files, all together; the PyTorch processor reads them as well.

        Args:
            folder: Folder to write to; made if it does not exist.

        Returns:
            The folder.

        Raises:
            OSError: The folder cannot be written.
        """
        name = type(self).__name__
        with updating(Path(folder), gates=SETTINGS_FILES) as new:
            self.tokenizer.save_pretrained(new)
            config = new / _TOKENIZER_CONFIG
            write_json(config, {**read_json(config), "processor_class": name})
            self.image_processor.save_pretrained(new, processor_class=name)
        return Path(folder)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(\n    image_processor={self.image_processor!r},\n"
            f"    tokenizer={self.tokenizer!r},\n)"
        )


def _keywords(function: Callable[..., Any]) -> list[str]:
    """A part's keywords: all but its first argument, the input."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters if p.kind in kinds]


def _warn_of_old_name() -> None:
    warn("feature_extractor is the old name of image_processor.", FutureWarning)
