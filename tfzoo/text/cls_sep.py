"""The form of a sequence that BERT's tokenizers and Perceiver's have in common."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

__all__ = ["ClsSepForm"]


class ClsSepForm:
    """`[CLS]` text `[SEP]`, or `[CLS]` text `[SEP]` text `[SEP]`; stands before `BaseTokenizer`."""

    cls_token_id: int
    sep_token_id: int

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """`[CLS] ids [SEP]`; a second text follows as `ids [SEP]`."""
        ids = [self.cls_token_id, *token_ids_0, self.sep_token_id]
        return ids if token_ids_1 is None else [*ids, *token_ids_1, self.sep_token_id]

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each special token of a sequence, 0 for the others.

        Args:
            token_ids_0: The ids of the first text.
            token_ids_1: Those of the second.
            already_has_special_tokens: Whether `token_ids_0` is a whole sequence; if not, the mask
                is for what `build_inputs_with_special_tokens` makes of the texts.

        Raises:
            ValueError: A whole sequence and a second text.
        """
        if already_has_special_tokens:
            return super().get_special_tokens_mask(token_ids_0, token_ids_1, True)
        texts = [token_ids_0] if token_ids_1 is None else [token_ids_0, token_ids_1]
        return [1, *chain.from_iterable([0] * len(ids) + [1] for ids in texts)]
