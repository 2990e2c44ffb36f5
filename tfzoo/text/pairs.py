"""Truncation and padding of sequences that are looked up already."""

from __future__ import annotations

from tokenizers import Encoding

from tfzoo.text.lengths import Lengths

__all__ = ["pad_encodings", "truncate_encodings"]


def truncate_encodings(parts: list[Encoding], lengths: Lengths, added: int, side: str) -> None:
    """Cut a text, or the two of a pair, in place; what is cut off becomes their `overflowing`.

    With "longest_first" the longer text loses tokens until the two are equally long, and then the
    second one and the first one in turns.

    Args:
        parts: One or two texts without special tokens.
        lengths: The plan of the call.
        added: Number of special tokens to come.
        side: Side on which tokens are cut off.

    Raises:
        ValueError: The text that may be cut is too short, missing, or not longer than the stride.
    """
    room = lengths.max_length - added
    sizes = [len(part) for part in parts]
    if sum(sizes) <= room:
        return
    if lengths.truncation == "longest_first":
        kept = sizes if len(parts) == 2 else [room]
        if len(parts) == 2:
            first, second = sizes
            kept = [
                min(first, max(room - second, room - room // 2)),
                min(second, max(room - first, room // 2)),
            ]
    else:
        cut = 0 if lengths.truncation == "only_first" else 1
        kept = [size - (sum(sizes) - room) * (i == cut) for i, size in enumerate(sizes)]
    cuts = [(part, n) for part, size, n in zip(parts, sizes, kept, strict=True) if n < size]
    if not cuts or any(n < 0 or 0 < lengths.stride >= n for _, n in cuts):
        raise ValueError(
            f"Texts of {' and '.join(map(str, sizes))} tokens and {added} special ones cannot be "
            f"cut to max_length={lengths.max_length} with truncation={lengths.truncation!r} and "
            f"stride={lengths.stride}. Change one of these."
        )
    for part, count in cuts:
        part.truncate(count, lengths.stride, side)


def pad_encodings(found: list[Encoding], lengths: Lengths, pad_id: int, pad_token: str) -> None:
    """Pad sequences in place.

    Args:
        found: The sequences.
        lengths: The plan of the call.
        pad_id: Id of the padding token.
        pad_token: The padding token.
    """
    if not lengths.pads:
        return
    target = lengths.max_length or 0
    if lengths.padding == "longest":
        target = max(len(encoding) for encoding in found)
    if lengths.multiple:
        target = -(-target // lengths.multiple) * lengths.multiple
    for encoding in found:
        encoding.pad(target, direction=lengths.side, pad_id=pad_id, pad_token=pad_token)
