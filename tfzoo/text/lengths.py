"""How long a tokenizer's sequences become: padding and truncation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding, Tokenizer

from tfzoo.core.warn import warn

__all__ = [
    "NO_LIMIT",
    "Lengths",
    "pad_encodings",
    "pad_sequences",
    "truncate_encodings",
    "truncate_ids",
]

NO_LIMIT = int(1e30)  # model_max_length of a tokenizer whose files name none
_LARGEST_LENGTH = int(1e20)  # lengths above it count as no limit

_PADDING = {False: "do_not_pad", None: "do_not_pad", True: "longest"}
_TRUNCATION = {False: "do_not_truncate", None: "do_not_truncate", True: "longest_first"}
_PADDINGS = ("do_not_pad", "longest", "max_length")
_TRUNCATIONS = ("do_not_truncate", "longest_first", "only_first", "only_second")


@dataclass(frozen=True)
class Lengths:
    """How one call pads and truncates, all questions settled.

    Attributes:
        padding: "do_not_pad", "longest" or "max_length".
        truncation: "do_not_truncate", "longest_first", "only_first" or "only_second".
        max_length: Tokens of a sequence, special ones included; None: no limit.
        stride: Tokens that a truncated rest repeats.
        multiple: The padded length is a multiple of it.
        side: Where padding goes, "right" or "left".
    """

    padding: str = "do_not_pad"
    truncation: str = "do_not_truncate"
    max_length: int | None = None
    stride: int = 0
    multiple: int | None = None
    side: str = "right"

    @classmethod
    def settle(
        cls,
        padding: bool | str | None,
        truncation: bool | str | None,
        max_length: int | None,
        model_max_length: int,
        **others: Any,
    ) -> Lengths:
        """The plan for a call's arguments.

        Raises:
            ValueError: An unknown strategy, or numbers that contradict each other.
        """
        for name, value in {"max_length": max_length, "stride": others.get("stride", 0)}.items():
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, got {value}.")
        if max_length is not None and padding is False and truncation is None:
            warn(
                f"max_length={max_length} without padding and truncation truncates: say so with "
                "truncation=True, or pass truncation=False.",
            )
            truncation = True
        padding = _choice("padding", padding, _PADDING, _PADDINGS)
        truncation = _choice("truncation", truncation, _TRUNCATION, _TRUNCATIONS)
        if max_length is None:
            padding, truncation, max_length = _with_the_models(
                padding, truncation, model_max_length
            )
        elif padding == "longest" and truncation == "do_not_truncate":
            warn(
                "max_length has no effect with padding=True and no truncation: pass "
                "padding='max_length' or truncation=True.",
            )
        plan = cls(padding, truncation, max_length, **others)
        plan._check()
        return plan

    @property
    def pads(self) -> bool:
        """Whether anything is padded."""
        return self.padding != "do_not_pad"

    @property
    def truncates(self) -> bool:
        """Whether anything is truncated."""
        return self.truncation != "do_not_truncate"

    def check_room(self, added: int) -> None:
        """Make sure that truncated sequences can hold the special tokens and the stride.

        Args:
            added: Number of special tokens.

        Raises:
            ValueError: They cannot.
        """
        room = self.max_length - added
        if room < 0 or 0 < self.stride >= room:
            raise ValueError(
                f"max_length={self.max_length} is too short for {added} special tokens and "
                f"stride={self.stride}: make it larger, make the stride smaller, or pass "
                "add_special_tokens=False."
            )

    def padded(self, longest: int) -> int:
        """The padded length of sequences, the longest of which has `longest` tokens."""
        target = longest if self.padding == "longest" else self.max_length or 0
        return -(-target // self.multiple) * self.multiple if self.multiple else target

    def kept(self, sizes: Sequence[int], added: int) -> list[int]:
        """How many tokens remain of a text, or of the two of a pair.

        With "longest_first" the longer text loses tokens until the two are equally long, and then
        the second one and the first one in turns.

        Args:
            sizes: Tokens of one or two texts.
            added: Number of special tokens to come.

        Raises:
            ValueError: The text that may be cut is missing or too short.
        """
        room = self.max_length - added
        surplus = sum(sizes) - room
        if surplus <= 0:
            return list(sizes)
        if self.truncation == "longest_first" and len(sizes) == 2:
            first, second = sizes
            return [
                min(first, max(room - second, room - room // 2)),
                min(second, max(room - first, room // 2)),
            ]
        cut = int(self.truncation == "only_second")
        kept = [size - surplus * (number == cut) for number, size in enumerate(sizes)]
        # A text that is named must keep a token, as the backend has it.
        least = int(self.truncation != "longest_first")
        if cut >= len(kept) or kept[cut] < least:
            raise self.impossible(sizes, added)
        return kept

    def impossible(self, sizes: Sequence[int], added: int) -> ValueError:
        """The error for texts that cannot be cut so."""
        return ValueError(
            f"Texts of {' and '.join(map(str, sizes))} tokens and {added} special ones cannot be "
            f"cut to max_length={self.max_length} with truncation={self.truncation!r} and "
            f"stride={self.stride}. Change one of these."
        )

    def apply_to(self, backend: Tokenizer, pad_id: int | None, pad_token: str, side: str) -> None:
        """Set up the backend for one call.

        Args:
            backend: The tokenizer to set up.
            pad_id: Id of the padding token.
            pad_token: The padding token.
            side: Side on which tokens are cut off.
        """
        backend.no_truncation()
        backend.no_padding()
        if self.truncates:
            backend.enable_truncation(
                self.max_length, stride=self.stride, strategy=self.truncation, direction=side
            )
        if self.pads:
            backend.enable_padding(
                direction=self.side,
                pad_id=pad_id,
                pad_token=pad_token,
                length=self.max_length if self.padding == "max_length" else None,
                pad_to_multiple_of=self.multiple,
            )

    def _check(self) -> None:
        if self.side not in ("right", "left"):
            raise ValueError(f"padding_side must be 'right' or 'left', got {self.side!r}.")
        if self.multiple is None:
            return
        if self.multiple < 1:
            raise ValueError(f"pad_to_multiple_of must be at least 1, got {self.multiple}.")
        if self.pads and self.truncates and self.max_length % self.multiple:
            raise ValueError(
                f"With truncation, max_length ({self.max_length}) must be a multiple of "
                f"pad_to_multiple_of ({self.multiple}): round it, or drop one of the two."
            )


def _choice(name: str, value: Any, words: Mapping[Any, str], choices: Sequence[str]) -> str:
    """The strategy that `value` stands for."""
    if value is None or isinstance(value, bool):
        return words[value]
    if value not in choices:
        raise ValueError(
            f"{name} must be True, False or one of {', '.join(map(repr, choices))}, got {value!r}."
        )
    return value


def _with_the_models(
    padding: str, truncation: str, model_max_length: int
) -> tuple[str, str, int | None]:
    """Padding, truncation and length of a call that names no length."""
    if padding != "max_length" and truncation == "do_not_truncate":
        return padding, truncation, None
    if model_max_length <= _LARGEST_LENGTH:
        return padding, truncation, model_max_length
    warn(
        "Neither the call nor the checkpoint names a maximum length, so nothing is truncated or "
        "padded to it: pass max_length=, or set the tokenizer's model_max_length.",
    )
    return "do_not_pad" if padding == "max_length" else padding, "do_not_truncate", None


_FILLERS = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}


def pad_sequences(
    columns: dict[str, list[Any]], lengths: Lengths, pad_id: int, main: str = "input_ids"
) -> dict[str, list[Any]]:
    """Pad lists of ids and masks.

    Args:
        columns: Lists of B sequences by name. `main` and the masks are padded, others are kept.
        lengths: The plan; nothing is truncated.
        pad_id: Id of the padding token.
        main: The name that has the ids.

    Returns:
        The padded columns.

    Raises:
        ValueError: A column has another number of sequences.
    """
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"All values must have the same number of sequences, got {sizes}.")
    target = lengths.padded(max(map(len, columns[main])))
    missing = [target - len(ids) if lengths.pads else 0 for ids in columns[main]]
    fillers = {**_FILLERS, main: pad_id}
    return {
        name: [
            _fill(v, fillers[name], n, lengths.side) for v, n in zip(values, missing, strict=True)
        ]
        if name in fillers
        else values
        for name, values in columns.items()
    }


def _fill(values: Sequence[int], filler: int, count: int, side: str) -> list[int]:
    padding = [filler] * count  # none for a negative count
    return [*values, *padding] if side == "right" else [*padding, *values]


def truncate_ids(
    texts: list[list[int]], lengths: Lengths, added: int, side: str
) -> tuple[list[list[int]], list[int], int]:
    """Cut off the ids of one text, or of a pair, where the lengths say so.

    Args:
        texts: The ids of one or two texts, without special tokens.
        lengths: The plan; tells which text is cut, and how much the rest repeats.
        added: Number of special tokens to come.
        side: Side on which ids are cut off.

    Returns:
        The shorter texts; what was cut off a single one of them, empty if both may be cut; and the
        number of ids that were cut off.

    Raises:
        ValueError: There is no room for the special tokens, or the text that may be cut is missing
            or too short.
    """
    if not lengths.truncates:
        return texts, [], 0
    lengths.check_room(added)
    sizes = [len(ids) for ids in texts]
    surplus = sum(sizes) + added - lengths.max_length
    if surplus <= 0:
        return texts, [], 0
    kept = lengths.kept(sizes, added)
    shorter = [
        ids[:n] if side == "right" else ids[len(ids) - n :]
        for ids, n in zip(texts, kept, strict=True)
    ]
    if lengths.truncation == "longest_first" and len(texts) == 2:
        return shorter, [], surplus
    ids = texts[int(lengths.truncation == "only_second")]
    window = min(len(ids), surplus + lengths.stride)
    return shorter, ids[len(ids) - window :] if side == "right" else ids[:window], surplus


def truncate_encodings(parts: list[Encoding], lengths: Lengths, added: int, side: str) -> None:
    """Cut a text, or the two of a pair, in place; what is cut off becomes their `overflowing`.

    Args:
        parts: One or two texts without special tokens.
        lengths: The plan of the call.
        added: Number of special tokens to come.
        side: Side on which tokens are cut off.

    Raises:
        ValueError: The text that may be cut is too short, missing, or not longer than the stride.
    """
    sizes = [len(part) for part in parts]
    kept = lengths.kept(sizes, added)
    cuts = [(part, n) for part, size, n in zip(parts, sizes, kept, strict=True) if n < size]
    if any(0 < lengths.stride >= n for _, n in cuts):
        raise lengths.impossible(sizes, added)
    for part, count in cuts:
        part.truncate(count, lengths.stride, side)


def pad_encodings(found: list[Encoding], lengths: Lengths, pad_id: int, pad_token: str) -> None:
    """Pad encoded sequences in place."""
    if lengths.pads:
        target = lengths.padded(max(map(len, found)))
        for encoding in found:
            encoding.pad(target, direction=lengths.side, pad_id=pad_id, pad_token=pad_token)
