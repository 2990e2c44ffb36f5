"""TVP's preprocessing: frames of videos and sentences; predictions back to seconds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfzoo.core.types import Tensor
from tfzoo.models.tvp.image_processor import TvpImageProcessor
from tfzoo.preprocessing.multimodal import BaseProcessor
from tfzoo.text.bert import BertTokenizer, BertTokenizerFast
from tfzoo.text.tokenizer import BatchEncoding

__all__ = ["BertTokenizer", "BertTokenizerFast", "TvpImageProcessor", "TvpProcessor"]

Sentences = str | Sequence[str] | Sequence[Sequence[str]]


class TvpProcessor(BaseProcessor):
    """Sentences to `input_ids` and `attention_mask`, videos to `pixel_values`; logits to seconds.

    Args:
        image_processor: A `TvpImageProcessor`.
        tokenizer: A `BertTokenizerFast` or `BertTokenizer`.

    Raises:
        ValueError: A part is missing.
        TypeError: A part is of another class.

    Source: `TvpProcessor` as documented for transformers 4.37. That of 4.57 forgets `videos`,
    `max_text_length` and the padding, and returns `token_type_ids`, which the model cannot take.

    Example:
        >>> import pathlib, string, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())  # a vocabulary of single letters
        >>> letters = [start + c for start in ("", "##") for c in string.ascii_lowercase]
        >>> tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
        >>> _ = (folder / "vocab.txt").write_text("\\n".join(tokens))
        >>> processor = TvpProcessor(
        ...     TvpImageProcessor(), BertTokenizerFast.from_pretrained(folder))
        >>> inputs = processor(
        ...     text=["a person sits"],
        ...     videos="clip.mp4",
        ...     num_frames=2,
        ...     max_text_length=16,
        ...     return_tensors="tf",
        ... )
        >>> {name: tuple(value.shape) for name, value in inputs.items()}
        {'input_ids': (1, 16), 'attention_mask': (1, 16), 'pixel_values': (1, 2, 3, 448, 448)}
        >>> processor.post_process_video_grounding(np.array([[0.25, 0.5]]), 13.0)
        (3.2, 6.5)
    """

    image_processor_class = TvpImageProcessor
    tokenizer_classes = (BertTokenizerFast, BertTokenizer)
    text_defaults = {"padding": "max_length", "return_token_type_ids": False}
    missing_error = ValueError

    def __call__(
        self,
        text: Sentences | None = None,
        videos: Any = None,
        return_tensors: str | None = None,
        *,
        max_text_length: int | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Prepare sentences, videos, or both.

        Args:
            text: A sentence or a list of B; with `is_split_into_words=True`, lists of words.
            videos: One video or a batch, as paths, arrays or lists of frames, see
                `make_batched_videos`; two frames at least.
            return_tensors: "np" for arrays, "tf" for tensors, None for lists.
            max_text_length: N, the length that sentences are padded to, and the most tokens of
                one; by default the tokenizer's `model_max_length`. `truncation=True` cuts longer
                sentences.
            **kwargs: For texts, arguments of the tokenizer: `padding` ("max_length" by default;
                True pads to the longest), `truncation`, ... For videos, arguments of
                `TvpImageProcessor.preprocess`: `num_frames` (how many to read of files), `size`,
                ... Those of an unused part are ignored. Or these in dicts: `text_kwargs`,
                `videos_kwargs` (or `images_kwargs`), and `common_kwargs` for both.

        Returns:
            `input_ids` and `attention_mask` (B, N) if there are texts, `pixel_values`
            (B, T, C, height, width) if there are videos.

        Raises:
            ValueError: Neither texts nor videos, an empty sentence, one that is longer than
                `max_text_length`, a video of fewer than two frames, or invalid values.
            TypeError: An unknown keyword, or something that is neither text nor video.
        """
        for_videos, for_text = self._route(kwargs, return_tensors)
        if text is None and videos is None:
            raise ValueError("TvpProcessor was given neither text nor videos; give one or both.")
        features, encodings = {}, None
        if text is not None:
            tensors = for_text.pop("return_tensors")
            encoded = self._encode(text, max_text_length, for_text)
            encodings = encoded.encodings
            features.update(encoded.convert_to(tensors))
        if videos is not None:
            prepared = self.image_processor(videos, **for_videos)
            _check_frames(prepared.pixel_values)
            features.update(prepared)
        return BatchEncoding(features, encodings=encodings)

    def _encode(
        self, text: Sentences, max_text_length: int | None, options: dict[str, Any]
    ) -> BatchEncoding:
        """The texts as lists of ids."""
        if max_text_length is not None:
            if "max_length" in options:
                raise ValueError("max_length is the tokenizer's name of max_text_length; give one.")
            if not isinstance(max_text_length, (int, np.integer)) or max_text_length < 1:
                raise ValueError(
                    f"max_text_length: expected a whole number above 0, got {max_text_length!r}."
                )
            options = {**options, "max_length": max_text_length}
        texts = _as_batch(text, bool(options.get("is_split_into_words")))
        if options.get("truncation") in (None, "do_not_truncate"):
            options = {**options, "truncation": False}
        self._check_lengths(texts, options)
        if options["padding"] != "max_length" and not options["truncation"]:
            options = {name: value for name, value in options.items() if name != "max_length"}
        return self.tokenizer(texts, **options)

    def _check_lengths(self, texts: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Refuse sentences without words, and those that are too long."""
        names = ("add_special_tokens", "is_split_into_words", "split_special_tokens")
        alike = {name: options[name] for name in names if name in options}
        added = self.tokenizer.num_special_tokens_to_add() * alike.get("add_special_tokens", True)
        with warnings.catch_warnings():  # about lengths that are refused here, or truncated
            warnings.filterwarnings("ignore", "A text has .* tokens, the model takes")
            rows = self.tokenizer(texts, **alike)["input_ids"]
        limit = options.get("max_length") or self.tokenizer.model_max_length
        for number, (text, ids) in enumerate(zip(texts, rows, strict=True)):
            if len(ids) <= added:
                raise ValueError(
                    f"text: sentence {number}, {text!r:.200}, is empty: say what to look for."
                )
            if len(ids) > limit and not options["truncation"]:
                raise ValueError(
                    f"text: sentence {number} has {len(ids)} tokens, max_text_length is {limit}: "
                    f"{text!r:.200}. Shorten it, raise max_text_length, or cut it by "
                    "truncation=True."
                )

    @staticmethod
    def post_process_video_grounding(logits: Tensor, video_durations: float) -> tuple[float, float]:
        """Convert the first prediction of a batch to seconds.

        At a variable frame rate, `VideoClip.seconds_of` converts instead.

        Args:
            logits: (B, 2), the output `logits` of `TFTvpForVideoGrounding`: start and end as
                fractions of the duration. Only the first row is used, as in the reference;
                `post_process_batch` converts all.
            video_durations: Duration of the video in seconds.

        Returns:
            Start and end in seconds, to a tenth; the end may come first.

        Raises:
            TypeError: `video_durations` is not a number.
            ValueError: Logits of another shape, or without rows.

        Example:
            >>> TvpProcessor.post_process_video_grounding(np.array([[0.1, 0.9]]), 20)
            (2.0, 18.0)
        """
        if np.ndim(video_durations):
            raise TypeError(
                "video_durations: expected one number, the duration in seconds, got "
                f"{video_durations!r}. For a batch, post_process_batch takes one for each video."
            )
        return _seconds(_rows(logits)[0], video_durations)

    @staticmethod
    def post_process_batch(
        logits: Tensor, video_durations: float | Sequence[float]
    ) -> list[tuple[float, float]]:
        """Convert all predictions of a batch to seconds, as `post_process_video_grounding` does.

        Args:
            logits: (B, 2), see `post_process_video_grounding`.
            video_durations: (B,) durations in seconds, or one for all, e.g. for several sentences
                on one video.

        Returns:
            B pairs of start and end in seconds, to a tenth.

        Raises:
            ValueError: Logits of another shape, or another number of durations.

        Example:
            >>> logits = np.array([[0.1, 0.9], [0.5, 0.75]])
            >>> TvpProcessor.post_process_batch(logits, [20, 8])
            [(2.0, 18.0), (4.0, 6.0)]
        """
        rows = _rows(logits)
        durations = np.asarray(video_durations)
        if durations.shape not in ((), (len(rows),)):
            raise ValueError(
                f"video_durations: expected one number, or {len(rows)}, one for each row of "
                f"logits, got shape {durations.shape}."
            )
        durations = np.broadcast_to(durations, len(rows)).tolist()
        return [_seconds(row, duration) for row, duration in zip(rows, durations, strict=True)]


def _as_batch(text: Sentences, is_split_into_words: bool) -> list[Any]:
    """A list of sentences, each a string or a list of words."""
    if isinstance(text, str):
        return [text]
    if not isinstance(text, (list, tuple)):
        raise TypeError(f"text: expected a sentence or a list of them, got {type(text).__name__}.")
    if is_split_into_words and all(isinstance(word, str) for word in text):
        return [list(text)]
    kinds = (list, tuple) if is_split_into_words else (str,)
    for sentence in text:
        if not isinstance(sentence, kinds):
            raise TypeError(
                f"text: expected a sentence or a list of them, got {sentence!r} in the list; lists "
                "of words need is_split_into_words=True."
            )
    if not text:
        raise ValueError("text: expected a sentence or a list of them, got an empty list.")
    return [list(words) if is_split_into_words else words for words in text]


def _check_frames(videos: Sequence[Sequence[Any]]) -> None:
    """Refuse single images: nothing begins or ends in them."""
    for number, video in enumerate(videos):
        if len(video) < 2:
            raise ValueError(
                f"videos: video {number} has one frame, and a moment needs two at least. For "
                "single images, call image_processor."
            )


def _rows(logits: Tensor) -> list[list[float]]:
    array = np.asarray(logits)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise ValueError(
            "logits: expected (B, 2), start and end as fractions of the duration, got shape "
            f"{array.shape}."
        )
    return array.astype("float64").tolist()


def _seconds(row: Sequence[float], duration: float) -> tuple[float, float]:
    start, end = (round(part * float(duration), 1) for part in row)
    return start, end
