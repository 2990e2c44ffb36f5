"""Settings as a table of fields: each stands in one line with its default, meaning and check.

Configurations and image processors declare their settings so, in the documented order::

    class MyConfig(PretrainedConfig):
        hidden_size: int = field(768, "Width of the encoder.", positive)

Signature, docstring, checks, JSON and the order of positional arguments follow from the table.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

__all__ = [
    "Constraint",
    "Field",
    "Fields",
    "boolean",
    "count",
    "field",
    "identifier",
    "name_or_function",
    "non_negative",
    "number",
    "one_of",
    "positive",
    "probability",
]

_LARGEST = 3.4e38  # about the largest number of float32


@dataclass(frozen=True)
class Constraint:
    """A test that a field's value must pass, with the words that describe it in an error."""

    description: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and abs(value) <= _LARGEST  # NaN is not


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


positive = Constraint("a positive integer", lambda v: _is_integer(v) and v > 0)
count = Constraint("an integer >= 0", lambda v: _is_integer(v) and v >= 0)
identifier = Constraint("an integer, or None", lambda v: v is None or _is_integer(v))
number = Constraint("a finite number", _is_number)
non_negative = Constraint("a number >= 0", lambda v: _is_number(v) and v >= 0)
probability = Constraint("a number in [0, 1)", lambda v: _is_number(v) and 0 <= v < 1)
boolean = Constraint("True or False", lambda v: isinstance(v, bool))
name_or_function = Constraint(
    "the name of an activation, or a function", lambda v: isinstance(v, str) or callable(v)
)


def one_of(*choices: Any) -> Constraint:
    """Constraint: the value is one of `choices`."""
    return Constraint("one of " + ", ".join(map(repr, choices)), lambda v: v in choices)


@dataclass(frozen=True)
class Field:
    """One row of a table.

    Attributes:
        default: Value where none is given.
        description: What it means.
        constraint: What `validate` requires of a value.
        convert: Brings every accepted form of a value to the one that is kept, and raises
            ValueError for all else.
        optional: Whether None may be given for the default, and stands for it in the signature.
        keyword_only: Whether it cannot be given by position.
        annotation: Its type, from the class.
    """

    default: Any
    description: str
    constraint: Constraint | None = None
    convert: Callable[[Any], Any] | None = None
    optional: bool = False
    keyword_only: bool = False
    annotation: Any = inspect.Parameter.empty

    def kept(self, value: Any) -> Any:
        """The value in the form in which it is kept."""
        if value is None and self.optional:
            return copy.deepcopy(self.default)
        return value if self.convert is None else self.convert(value)

    def parameter(self, name: str) -> inspect.Parameter:
        """The field in a signature."""
        kinds = inspect.Parameter
        kind = kinds.KEYWORD_ONLY if self.keyword_only else kinds.POSITIONAL_OR_KEYWORD
        default = None if self.optional else self.default
        return kinds(name, kind, default=default, annotation=self.annotation)


def field(default: Any, description: str, constraint: Constraint | None = None, **how: Any) -> Any:
    """Declare a field, see the module's example.

    Args:
        default: See `Field`.
        description: See `Field`.
        constraint: See `Field`.
        **how: `convert`, `optional` or `keyword_only` of `Field`.
    """
    return Field(default, description, constraint, **how)


class Fields:
    """Base of the classes whose settings are a table of fields.

    Attributes:
        fields: The table, those of the base classes first.
        other_keywords: What becomes of keywords that are not fields, for the docstring.
    """

    fields: ClassVar[dict[str, Field]] = {}
    other_keywords: ClassVar[str] = ""
    _error: ClassVar[type[ValueError]] = ValueError  # what is raised for values that cannot be
    if TYPE_CHECKING:
        __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        hints = inspect.get_annotations(cls)
        own = {k: v for k, v in list(vars(cls).items()) if isinstance(v, Field)}
        for name, row in own.items():
            own[name] = replace(row, annotation=hints.get(name, row.annotation))
            delattr(cls, name)  # a Field left on the class would hide a forgotten attribute
        cls.fields = {**cls.fields, **own}
        if cls.fields:
            cls.__signature__ = _signature(cls.fields)
            text = inspect.cleandoc(vars(cls).get("__doc__") or "")
            cls.__doc__ = "\n".join([f"{text}\n\nArgs:", *cls._described()])

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The fields, in their order."""
        return tuple(cls.fields)

    @classmethod
    def _described(cls) -> Iterator[str]:
        """The lines of the docstring's `Args`."""
        for name, row in cls.fields.items():
            limit = f" ({row.constraint.description})" if row.constraint else ""
            yield f"    {name}: {row.description}{limit} Default {row.default!r}."
        yield f"    **kwargs: {cls.other_keywords}"

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """A constructor's arguments by name.

        Raises:
            TypeError: Too many, or one of them twice.
        """
        names = [name for name, row in self.fields.items() if not row.keyword_only]
        if len(args) > len(names):
            raise TypeError(
                f"{type(self).__name__} takes at most {len(names)} positional arguments "
                f"({', '.join(names)}), got {len(args)}."
            )
        values = dict(zip(names, args))  # noqa: B905 - fewer positional arguments are fine
        if twice := sorted(values.keys() & kwargs.keys()):
            raise TypeError(f"{type(self).__name__} got {', '.join(twice)} twice.")
        return {**values, **kwargs}

    def _set_fields(self, table: Mapping[str, Field], values: Mapping[str, Any]) -> None:
        """Set the fields of `table`, then keep all other values as attributes.

        Raises:
            ValueError: A value would take the place of a method or property.
        """
        for name, row in table.items():
            given = values[name] if name in values else copy.deepcopy(row.default)
            setattr(self, name, row.kept(given))
        for name, value in values.items():
            if name in table:
                continue
            if name.startswith("__") or hasattr(type(self), name):
                raise self._error(
                    f"{type(self).__name__} cannot keep a value named {name!r}, which means "
                    "something else to its class; leave it out."
                )
            setattr(self, name, value)


def _signature(fields: Mapping[str, Field]) -> inspect.Signature:
    rows = [row.parameter(name) for name, row in fields.items()]
    others = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD, annotation="Any")
    return inspect.Signature([*sorted(rows, key=lambda row: row.kind), others])
