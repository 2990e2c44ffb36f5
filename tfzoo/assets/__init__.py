"""The small trained checkpoints that ship with the package, in PyTorch's layout.

Beside each checkpoint a `card.json` says what it was trained for, see `Card`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tfzoo.core.files import read_json

__all__ = ["Card", "card_of", "default_checkpoint", "shipped_checkpoints", "shipped_for"]

_HOME = Path(__file__).parent
_CARD = "card.json"


@dataclass(frozen=True)
class Card:
    """What a shipped checkpoint knows.

    Attributes:
        task: The task that it was trained for, as `tfzoo.pipeline` names it.
        knows: What it knows, in a few words.
        score: How well, on data that training never saw.
        instead: A published checkpoint for other things.
        offers: What that one knows.
        words: The words that it was trained on, where it reads texts, with spaces between.
    """

    task: str
    knows: str
    score: str
    instead: str
    offers: str
    words: str = ""

    def note(self) -> str:
        """What the checkpoint is for, and what to take for anything else.

        Example:
            >>> card_of("owlv2-shapes").note()[:25]
            'knows coloured shapes onl'
        """
        return f"knows {self.knows} only; for {self.offers}: --model {self.instead}"

    def knows_words_of(self, text: str) -> bool:
        """Whether all words of a text were trained on.

        Example:
            >>> card = card_of("owlv2-shapes")
            >>> card.knows_words_of("a red circle"), card.knows_words_of("a cup")
            (True, False)
        """
        return set(re.findall(r"\w+", text.lower())) <= set(self.words.split())


def shipped_checkpoints() -> dict[str, Path]:
    """Names and folders of all checkpoints that ship with tfzoo, in alphabetical order.

    Example:
        >>> "timesformer-camera-motion" in shipped_checkpoints()
        True
    """
    return {path.parent.name: path.parent for path in sorted(_HOME.glob("*/config.json"))}


def default_checkpoint(name: str = "timesformer-camera-motion") -> Path:
    """Folder of a checkpoint that ships with tfzoo.

    Args:
        name: Its name; the default classifies the motion of a camera.

    Raises:
        FileNotFoundError: No checkpoint of that name ships with tfzoo.

    Example:
        >>> default_checkpoint().name
        'timesformer-camera-motion'
    """
    shipped = shipped_checkpoints()
    if name not in shipped:
        raise FileNotFoundError(
            f"tfzoo ships no checkpoint {name!r}; it ships {', '.join(shipped)}."
        )
    return shipped[name]


def card_of(checkpoint: str | os.PathLike[str]) -> Card | None:
    """The card of a shipped checkpoint.

    Args:
        checkpoint: Its short name or its folder.

    Returns:
        The card; None for any other checkpoint.

    Example:
        >>> card_of(default_checkpoint()).task
        'video-classification'
    """
    path = Path(checkpoint)
    folder = path if path.exists() else shipped_checkpoints().get(str(checkpoint), path)
    file = folder.resolve() / _CARD
    if file.parent.parent != _HOME.resolve() or not file.is_file():
        return None
    return Card(**read_json(file))


def shipped_for(task: str) -> str | None:
    """The short name of the shipped checkpoint for a task; None if there is none.

    Example:
        >>> shipped_for("zero-shot-object-detection")
        'owlv2-shapes'
    """
    cards = {name: card_of(folder) for name, folder in shipped_checkpoints().items()}
    return next((name for name, card in cards.items() if card and card.task == task), None)
