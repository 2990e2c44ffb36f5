"""What the families' image and video processors share: their fields, their file, their result."""

from __future__ import annotations

import copy
import inspect
import json
import os
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from tfzoo.core.brief import brief_repr
from tfzoo.core.fields import Constraint, Field, Fields, field, number
from tfzoo.core.files import read_json, write_json
from tfzoo.core.replacing import destination, updating
from tfzoo.core.untrusted import escaped
from tfzoo.hub import DEFAULTS, HubError, HubOptions, resolve
from tfzoo.hub.upload import PushMixin
from tfzoo.preprocessing.image import height_and_width

__all__ = [
    "COMBINED_FILE",
    "PROCESSOR_FILE",
    "SETTINGS_FILES",
    "VIDEO_FILE",
    "BaseImageProcessor",
    "BatchFeature",
    "filter_field",
    "find_settings",
    "number_field",
    "pair_field",
    "per_channel_field",
    "plain_type",
    "switch_field",
    "type_names",
]

PROCESSOR_FILE = "preprocessor_config.json"
# What transformers 5 writes instead: a video processor's own file, or that of a whole processor.
VIDEO_FILE = "video_preprocessor_config.json"
COMBINED_FILE = "processor_config.json"
#: All of them, in the order in which they are looked for.
SETTINGS_FILES = (COMBINED_FILE, PROCESSOR_FILE, VIDEO_FILE)
_SECTIONS = ("image_processor", "video_processor")  # of the latter, each like a file of its own
_TYPE_KEYS = ("image_processor_type", "feature_extractor_type", "video_processor_type")


class BatchFeature(UserDict):
    """A processor's result: a dict whose values are also attributes; `model(**features)` takes it.

    Args:
        data: Names and values.
        return_tensors: See `convert_to`.

    Example:
        >>> features = BatchFeature({"pixel_values": [[1.0, 2.0]]}, "np")
        >>> features.pixel_values.shape
        (1, 2)
        >>> features
        BatchFeature(pixel_values=(1, 2) float64)
    """

    def __init__(self, data: Mapping[str, Any] | None = None, return_tensors: str | None = None):
        super().__init__(data or {})
        self.convert_to(return_tensors)

    def __getattr__(self, name: str) -> Any:
        # "data" itself is looked up here while a copy is unpickled.
        if name != "data" and name in self.data:
            return self.data[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __repr__(self) -> str:
        return brief_repr(self, self.data)

    def convert_to(self, return_tensors: str | None = None) -> BatchFeature:
        """Convert all values in place.

        Args:
            return_tensors: "np" for numpy arrays, "tf" for tensors of Keras's backend, None to
                leave the values as they are.

        Returns:
            Itself.

        Raises:
            ValueError: Another choice, or values whose shapes differ.
        """
        if return_tensors is None:
            return self
        if return_tensors not in ("np", "tf"):
            raise ValueError(
                f"return_tensors must be 'np' (numpy), 'tf' (tensors) or None (lists), got "
                f"{return_tensors!r}."
            )
        for name, value in self.data.items():
            array = _as_array(name, value)
            self.data[name] = array if return_tensors == "np" else _as_tensor(array)
        return self

    def to(self, *args: Any, device: Any = None, dtype: Any = None, **options: Any) -> BatchFeature:
        """Move the values to a device or cast the floats among them, in place.

        Only tensors of PyTorch are moved: arrays, and TensorFlow's and JAX's tensors, are copied to
        where the model is when it is called.

        Args:
            *args: A device, a dtype or both.
            device: Such as "cpu" or "cuda:0".
            dtype: Of any library or by name, such as "float16". Integers stay as they are. Of
                "bfloat16", which NumPy lacks, arrays become tensors.
            **options: Further arguments of PyTorch's `Tensor.to`, such as `non_blocking`.

        Returns:
            Itself.

        Raises:
            TypeError: More than a device and a dtype.

        Example:
            >>> features = BatchFeature({"pixel_values": [[1.0, 2.0]]}, "np")
            >>> features.to("cuda", dtype="float16").pixel_values.dtype
            dtype('float16')
        """
        for value in args:
            if dtype is None and _is_dtype(value):
                dtype = value
            elif device is None:
                device = value
            else:
                raise TypeError(f"to() takes a device and a dtype, got {args}.")
        for name, value in self.data.items():
            if device is not None and hasattr(value, "to"):
                value = value.to(device, **options)
            if dtype is not None and "float" in str(getattr(value, "dtype", "")):
                value = _cast(value, dtype)
            self.data[name] = value
        return self


def _cast(value: Any, dtype: Any) -> Any:
    from keras import backend, ops

    name = backend.standardize_dtype(dtype)
    is_plain = isinstance(value, np.ndarray) and name != "bfloat16"  # which NumPy lacks
    return value.astype(name) if is_plain else ops.cast(value, name)


def _is_dtype(value: Any) -> bool:
    from keras import backend

    try:
        return value is not None and bool(backend.standardize_dtype(value))
    except ValueError:
        return False


def _as_array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{name} cannot become one array: its items have different shapes. Resize or crop all "
            "images to one size, or set return_tensors=None for lists."
        ) from error


def _as_tensor(array: np.ndarray) -> Any:
    from keras import ops  # heavy, and not needed for arrays

    return ops.convert_to_tensor(array)


def find_settings(
    name_or_path: str | os.PathLike[str], options: HubOptions = DEFAULTS
) -> tuple[Path, dict[str, Any]]:
    """The settings of a checkpoint's image processor, and the file that has them.

    Args:
        name_or_path: A folder, the file itself, or a hub name.
        options: Where to look.

    Returns:
        The path of `processor_config.json` and the content of its section `image_processor` or
        `video_processor`; where there is no such section, the path and the content of
        `preprocessor_config.json`, or else of `video_preprocessor_config.json`.

    Raises:
        HubError: None is found.
        ValueError: The file is not JSON.

    Example:
        >>> path, settings = find_settings("checkpoint/")
        >>> path.name, settings["image_processor_type"]
        ('preprocessor_config.json', 'VideoMAEImageProcessor')
    """
    path = Path(name_or_path)
    if path.is_file():
        values = read_json(path)
        return path, _section(values) or values
    errors = {}
    for name in SETTINGS_FILES:
        try:
            path = resolve(name_or_path, name, options) / name
        except HubError as error:  # also if the hub is out of reach: the cache may have another
            errors[name] = error
            continue
        whole = read_json(path)
        found = _section(whole)
        if found is not None or name != COMBINED_FILE:
            return path, found or whole
    raise errors[PROCESSOR_FILE]


def _section(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of the image or video processor in those of a whole processor."""
    return next((values[key] for key in _SECTIONS if isinstance(values.get(key), dict)), None)


def plain_type(name: str) -> str:
    """The name of a class without the ending that says how the reference computes."""
    return name.removesuffix("Fast").removesuffix("Pil")


def type_names(values: Mapping[str, Any], source: Any = "The settings") -> list[str]:
    """The names of classes in the settings of an image processor.

    Args:
        values: The settings.
        source: Where they are from, for messages.

    Raises:
        ValueError: A name is not text.

    Example:
        >>> type_names({"image_processor_type": "VideoMAEImageProcessor", "size": 224})
        ['VideoMAEImageProcessor']
    """
    names = [values[key] for key in _TYPE_KEYS if values.get(key)]
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"{source}: expected the name of a class, got {wrong[0]!r:.100}.")
    return names


class BaseImageProcessor(PushMixin, Fields):
    """Base of the image and video processors.

    A subclass declares its settings as fields, see `tfzoo.core.fields`, and writes
    `preprocess(self, images, settings, ...)`. Callers of `preprocess` give fields in place of
    `settings`, each None by default for the processor's own value; the method itself gets them
    all in the namespace `settings`, in the form in which they are kept.

    Attributes:
        model_input_names: Names in the result.
        accepted_types: Other class names in a file that this class can stand for.
        call_fields: The fields that `preprocess` takes, in this order; by default all.
    """

    model_input_names: ClassVar[tuple[str, ...]] = ("pixel_values",)
    accepted_types: ClassVar[tuple[str, ...]] = ()
    call_fields: ClassVar[tuple[str, ...]] = ()
    other_keywords = "Kept as attributes, and written with the fields."

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        method = inspect.unwrap(cls.preprocess)
        if "settings" in inspect.signature(method).parameters:
            names = cls.call_fields or cls.field_names()
            cls.preprocess = _taking({name: cls.fields[name] for name in names}, method)

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        values = copy.deepcopy(self._bind(args, kwargs))
        if parts := {"image_processor", "tokenizer"} & set(values):
            raise ValueError(
                f"{type(self).__name__} has no {parts.pop()}: these are settings of a whole "
                "processor."
            )
        self._set_fields(self.fields, values)
        for name, row in self.fields.items():
            self._check(name, row, getattr(self, name))

    def _check(self, name: str, row: Field, value: Any) -> None:
        if row.constraint is not None and not row.constraint.holds(value):
            raise ValueError(
                f"{type(self).__name__}.{name} must be {row.constraint.description}, got "
                f"{value!r:.200}."
            )

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
    ) -> BaseImageProcessor:
        """Make a processor from a checkpoint's `preprocessor_config.json`.

        Args:
            name_or_path: A folder that holds the file (or one of those that transformers 5 writes,
                see `find_settings`), the file itself, or a hub name.
            revision: Branch, tag or commit on the hub.
            cache_dir: Folder of the hub's cache.
            local_files_only: Never download.
            token: Access token of the hub.
            subfolder: Folder of the checkpoint inside of the repository or folder.
            **overrides: Fields that win over the file's.

        Returns:
            The processor. The file's values win over the class's defaults; other keys are kept as
            attributes.

        Raises:
            HubError: The file cannot be found.
            ValueError: The file is not JSON, is meant for another class or has impossible values.
            TypeError: An override that is neither a field nor a key of the file.

        Example:
            >>> from tfzoo import VideoMAEImageProcessor
            >>> processor = VideoMAEImageProcessor.from_pretrained("checkpoint/", size=256)
        """
        options = HubOptions(revision, cache_dir, local_files_only, token, subfolder)
        path, values = find_settings(name_or_path, options)
        try:
            return cls.from_dict(values, **overrides)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> BaseImageProcessor:
        """Make a processor from the content of its file.

        Raises:
            ValueError: `values` name another class than this one and `accepted_types`.
            TypeError: An override that is neither a field nor a key of `values`.
        """
        names = type_names(values)
        accepted = (cls.__name__, *cls.accepted_types)
        if names and not {*names, *map(plain_type, names)} & set(accepted):
            raise ValueError(
                f"expected a processor of class {' or '.join(accepted)}, got one of class "
                f"{escaped(names[0][:100])}. Load it with AutoImageProcessor or that class."
            )
        unknown = sorted(set(overrides) - set(cls.field_names()) - set(values))
        if unknown:
            raise TypeError(
                f"{cls.__name__} has no field {', '.join(map(repr, unknown))}; it has "
                f"{', '.join(cls.field_names())}."
            )
        return cls(**{k: v for k, v in {**values, **overrides}.items() if k not in _TYPE_KEYS})

    def _settings(self, overrides: Mapping[str, Any]) -> SimpleNamespace:
        """The fields for one call: `overrides` where they are not None, else the own values."""
        settings = SimpleNamespace()
        for name, row in self.fields.items():
            given = overrides.get(name)
            value = row.kept(getattr(self, name) if given is None else given)
            self._check(name, row, value)
            setattr(settings, name, value)
        return settings

    def to_dict(self) -> dict[str, Any]:
        """All fields, the kept keys, and the class's name, as plain JSON values."""
        values = {**copy.deepcopy(vars(self)), "image_processor_type": type(self).__name__}
        return json.loads(json.dumps(values, default=_plain))

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, processor_class: str | None = None
    ) -> Path:
        """Write `preprocessor_config.json`.

        Where the folder has such settings in the files of transformers 5, a section of
        `processor_config.json` or `video_preprocessor_config.json`, these are updated: it reads
        them first. All are replaced together.

        Args:
            folder: Folder to write to; made if it does not exist.
            processor_class: Name of the class that this processor is a part of, for
                `AutoProcessor`; None keeps the one it was read with.

        Returns:
            The file's path.

        Raises:
            OSError: The folder cannot be written.
            ValueError: One of those files is not JSON.
        """
        named = {} if processor_class is None else {"processor_class": processor_class}
        values = {**self.to_dict(), **named}
        folder = Path(folder)
        with updating(folder, gates=SETTINGS_FILES) as new:
            others = _other_files(destination(folder), values, named)
            for name, content in {**others, PROCESSOR_FILE: values}.items():
                write_json(new / name, content)
        return folder / PROCESSOR_FILE

    def preprocess(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """Turn images or videos into model inputs; every family writes its own."""
        raise TypeError(f"{type(self).__name__} is a base class; use a family's processor.")

    def __call__(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """The same as `preprocess`."""
        return self.preprocess(*args, **kwargs)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.field_names())
        return f"{type(self).__name__}({fields})"


def _other_files(
    folder: Path, values: Mapping[str, Any], named: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """The files of transformers 5 in a folder that hold such settings, with new `values`."""
    found: dict[str, dict[str, Any]] = {}
    whole = read_json(folder / COMBINED_FILE) if (folder / COMBINED_FILE).is_file() else {}
    sections = {k: _renewed(whole[k], values) for k in _SECTIONS if isinstance(whole.get(k), dict)}
    if sections:
        found[COMBINED_FILE] = {**whole, **named, **sections}
    if (folder / VIDEO_FILE).is_file():
        found[VIDEO_FILE] = _renewed(read_json(folder / VIDEO_FILE), values)
    return found


def _renewed(old: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` in place of `old` ones, which may be those of a class for videos."""
    key = "video_processor_type"
    if key not in old:
        return dict(values)
    return {key: old[key], **{k: v for k, v in values.items() if k not in _TYPE_KEYS}}


def pair_field(side: int, name: str = "size", more: str = "") -> Any:
    """A field that holds a height and a width, `side` each by default."""
    return field(
        {"height": side, "width": side},
        '{"height": h, "width": w}, or one number for both' + (f"; {more}." if more else "."),
        convert=partial(height_and_width, name=name),
        optional=True,
    )


def per_channel_field(values: Sequence[float], more: str = "") -> Any:
    """A field that holds a number, or one for each channel."""
    text = "One number or one for each channel" + (f"; {more}." if more else ".")
    return field(list(values), text, _numbers, optional=True)


def switch_field(default: bool, text: str) -> Any:
    """A field that says whether something is done; None, as in some files, is False."""
    return field(default, text, _switch)


def number_field(default: float, text: str, **how: Any) -> Any:
    """A field that holds a number."""
    return field(default, text, _number, **how)


def filter_field(default: int, text: str) -> Any:
    """A field that holds Pillow's number of a filter."""
    return field(default, text, _filter)


def _are_finite(values: Any) -> bool:
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        return False
    if array.dtype.kind not in "iuf" or array.ndim > 1 or not array.size:
        return False
    return bool((np.abs(array.astype(float)) < _LARGEST).all())


_LARGEST = 1e30
_switch = Constraint("True or False", lambda v: v is None or isinstance(v, (bool, np.bool_)))
_number = Constraint(number.description, lambda v: _are_finite(v) and np.ndim(v) == 0)
_numbers = Constraint("a finite number, or a list of them", _are_finite)
_filter = Constraint(
    "the number of one of Pillow's filters, 0 to 5",
    lambda v: isinstance(v, (int, np.integer)) and not isinstance(v, bool) and 0 <= v <= 5,
)


def _taking(fields: Mapping[str, Field], method: Callable[..., BatchFeature]) -> Any:
    """`method` with an argument for each field in place of its argument `settings`."""
    signature, parameters = inspect.signature(method), []
    for parameter in signature.parameters.values():
        if parameter.name != "settings":
            parameters.append(parameter)
            continue
        for name, row in fields.items():
            hint = str(row.annotation).removesuffix(" | None")
            parameters.append(
                row.parameter(name).replace(default=None, annotation=f"{hint} | None")
            )
    signature = signature.replace(parameters=sorted(parameters, key=lambda p: p.kind))

    @wraps(method)
    def preprocess(self: BaseImageProcessor, *args: Any, **kwargs: Any) -> BatchFeature:
        given = signature.bind(self, *args, **kwargs).arguments
        overrides = {name: given.pop(name, None) for name in fields}
        return method(**given, settings=self._settings(overrides))

    preprocess.__signature__ = signature
    preprocess.__doc__ = (method.__doc__ or "").replace("settings:", f"{', '.join(fields)}:", 1)
    return preprocess


def _plain(value: Any) -> Any:
    """What JSON lacks: numpy's numbers and arrays."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"A processor's fields must be plain values, got {type(value).__name__}.")
