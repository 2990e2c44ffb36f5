"""Whether a model and what comes with it can be served: refusals that several families share."""

from __future__ import annotations

from typing import Any

from tfzoo.export.endpoint import ServingError

__all__ = ["check_head", "check_tokenizer"]


def check_head(model: Any, *heads: type) -> None:
    """Refuse a model that answers nothing in the user's terms.

    Args:
        model: Any model of the family.
        *heads: The classes that do.

    Raises:
        ServingError: It is none of them.

    Example:
        >>> check_head(1, int, float)
    """
    if isinstance(model, heads):
        return
    *others, last = (head.__name__ for head in heads)
    served = f"{', '.join(others)} and {last} have" if others else f"{last} has"
    raise ServingError(
        f"{type(model).__name__} has no signature in the user's terms; {served}. model.export "
        "writes its inputs and outputs as they are."
    )


def check_tokenizer(tokenizer: Any, vocab_size: int) -> None:
    """Refuse a tokenizer that has more ids than a model takes.

    Args:
        tokenizer: Anything with a length.
        vocab_size: Number of the model's ids.

    Raises:
        ServingError: It is another model's.

    Example:
        >>> check_tokenizer(range(10), 10)
    """
    if len(tokenizer) > vocab_size:
        raise ServingError(
            f"The tokenizer has {len(tokenizer)} ids, the model takes {vocab_size} (vocab_size): "
            "it is another model's."
        )
