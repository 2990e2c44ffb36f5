"""Masked bytes of a text and what a model suggests for each."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image, ImageDraw

from tfzoo.viz.drawing import INK, PAPER, TRACK, font_of, size_of

__all__ = ["draw_suggestions"]

_GUESS, _BAR = (255, 214, 102), (46, 125, 180)


def draw_suggestions(
    text: str,
    filled: Any,
    *,
    mask: str = "[MASK]",
    width: int = 900,
    font_size: int = 18,
    font: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Draw a text with its guessed bytes marked, and each one's candidates with probabilities.

    A byte that is not a visible character is shown by its number, such as `0x0a`.

    Args:
        text: The text with its masks, as it was given to `fill_mask`.
        filled: What `fill_mask` gives for it: its `candidates`, for each mask pairs of a byte as a
            character and its probability, the best first.
        mask: The mask token.
        width: Of the result, in pixels; longer texts take several lines.
        font_size: Of the letters, in pixels.
        font: File of a TrueType font, for scripts other than Latin.

    Returns:
        A new image in RGB.

    Raises:
        ValueError: Another number of masks in the text than of lists of candidates, no mask, a
            probability outside [0, 1], or sizes that are not above 0.

    Example:
        >>> from types import SimpleNamespace
        >>> filled = SimpleNamespace(candidates=[[("i", 0.8), ("a", 0.1)]])
        >>> draw_suggestions("m[MASK]ssing", filled, width=400).width
        400
    """
    width, unit = size_of("width", width, 900), size_of("font_size", font_size, 18)
    candidates = _candidates(text, filled, mask)
    letters = font_of(font, unit)
    marked = _marked(text.split(mask), candidates)
    lines = _lines(marked, letters, width - 2 * unit)
    step, most = round(1.6 * unit), max(len(one) for one in candidates)
    table = 12 * unit
    per_row = max(1, (width - unit) // table)
    rows = -(-len(candidates) // per_row)
    top = unit + step * len(lines) + unit
    height = top + rows * (step * (most + 1) + unit)
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        _line(draw, line, (unit, unit + step * number), unit, letters)
    for number, one in enumerate(candidates):
        row, column = divmod(number, per_row)
        place = (unit + column * table, top + row * (step * (most + 1) + unit))
        _table(draw, number, one, place, (table - unit, step, unit), letters)
    return picture


def _candidates(text: str, filled: Any, mask: str) -> list[list[tuple[str, float]]]:
    """The candidates for each mask, checked."""
    found = [[(str(c), float(p)) for c, p in one] for one in filled.candidates]
    count = text.count(mask) if mask else 0
    if not count or count != len(found) or not all(found):
        raise ValueError(
            f"text: expected {len(found)} times {mask!r}, once for each list of candidates, got "
            f"{count}."
        )
    values = [p for one in found for _, p in one]
    if not all(0 <= p <= 1 for p in values):
        raise ValueError(
            f"filled: expected probabilities in [0, 1], got {min(values)} to {max(values)}."
        )
    return found


def _shown(character: str) -> str:
    """A byte as it is written."""
    return character if "!" <= character <= "~" else f"0x{ord(character):02x}"


def _marked(parts: list[str], candidates: list[list[tuple[str, float]]]) -> list[tuple[str, bool]]:
    """The characters of the completed text, and whether each was guessed."""
    marked = [(character, False) for character in parts[0]]
    for part, one in zip(parts[1:], candidates, strict=True):
        marked += [(one[0][0], True), *((character, False) for character in part)]
    return marked


def _lines(marked: list[tuple[str, bool]], letters: Any, room: int) -> list[list[tuple[str, bool]]]:
    """The characters in lines that fit, broken after a blank if possible."""
    lines: list[list[tuple[str, bool]]] = [[]]
    for character, guessed in marked:
        line = lines[-1]
        line.append((character if character.isprintable() else " ", guessed))
        if len(line) > 1 and sum(letters.getlength(one) for one, _ in line) > room:
            blanks = [i for i, (one, _) in enumerate(line[:-1]) if one == " "]
            cut = 1 + (blanks[-1] if blanks else len(line) - 2)
            lines[-1:] = [line[:cut], line[cut:]]
    return lines


def _line(
    draw: ImageDraw.ImageDraw,
    line: list[tuple[str, bool]],
    place: tuple[int, int],
    unit: int,
    letters: Any,
) -> None:
    """Draw one line, the guesses highlighted."""
    left, top = float(place[0]), place[1]
    for character, guessed in line:
        long = letters.getlength(character)
        if guessed:
            box = (round(left), top - unit // 5, round(left + long) - 1, top + unit + unit // 5)
            draw.rectangle(box, fill=_GUESS)
        draw.text((left, top), character, fill=INK, font=letters)
        left += long


def _table(
    draw: ImageDraw.ImageDraw,
    number: int,
    candidates: list[tuple[str, float]],
    place: tuple[int, int],
    sizes: tuple[int, int, int],
    letters: Any,
) -> None:
    """Draw the candidates for one mask, each with a bar and its probability."""
    (left, top), (long, step, unit) = place, sizes
    draw.text((left, top), f"byte {number + 1}", fill=INK, font=letters)
    start, end = left + 3 * unit, left + long - 3 * unit
    for index, (character, probability) in enumerate(candidates):
        upper = top + step * (index + 1)
        draw.text((left, upper), _shown(character), fill=INK, font=letters)
        draw.rectangle((start, upper, end - 1, upper + unit - 1), fill=TRACK)
        filled = round(probability * (end - start))
        if filled:
            draw.rectangle((start, upper, start + filled - 1, upper + unit - 1), fill=_BAR)
        text = f"{100 * probability:.0f} %"
        draw.text((left + long, upper), text, fill=INK, font=letters, anchor="ra")
