"""Preprocessing of OWLv2 and OWL-ViT: images, query images and lists of texts; boxes back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfzoo.models.owlv2.image_processor import Owlv2ImageProcessor, OwlViTImageProcessor
from tfzoo.models.owlv2.postprocessing import Sizes
from tfzoo.preprocessing.multimodal import BaseProcessor
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.text.clip import CLIPTokenizer, CLIPTokenizerFast

__all__ = ["OwlViTImageProcessor", "OwlViTProcessor", "Owlv2ImageProcessor", "Owlv2Processor"]

_FILLER = " "  # the query that pads shorter lists of texts
_TEXTS = "a string, a list of strings, or for each image a list of strings"


class Owlv2Processor(BaseProcessor):
    """Texts, images and query images to model inputs; outputs to boxes in pixels.

    Args:
        image_processor: An `Owlv2ImageProcessor`.
        tokenizer: A `CLIPTokenizerFast` or `CLIPTokenizer`. The checkpoints' own takes 16 tokens
            and pads with "!" (id 0), so that a "!" in a text is lost.
        feature_extractor: The image processor's old name; it warns.

    Raises:
        TypeError: A part is missing or of another class.

    Source: `Owlv2Processor` of transformers 4.57.

    Example:
        >>> import json, pathlib, string, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())  # a vocabulary of single letters
        >>> tokens = [letter + end for end in ("", "</w>") for letter in string.ascii_lowercase]
        >>> tokens = ["!", *tokens, "<|startoftext|>", "<|endoftext|>"]
        >>> vocabulary = {token: index for index, token in enumerate(tokens)}
        >>> _ = (folder / "vocab.json").write_text(json.dumps(vocabulary))
        >>> _ = (folder / "merges.txt").write_text("#version: 0.2\\n")
        >>> tokenizer = CLIPTokenizerFast.from_pretrained(
        ...     folder, pad_token="!", model_max_length=16
        ... )
        >>> processor = Owlv2Processor(Owlv2ImageProcessor(), tokenizer)
        >>> inputs = processor(
        ...     text=[["a cup", "a cat"]], images="photo.jpg", return_tensors="tf"
        ... )
        >>> {name: tuple(value.shape) for name, value in inputs.items()}
        {'input_ids': (2, 16), 'attention_mask': (2, 16), 'pixel_values': (1, 3, 960, 960)}
    """

    image_processor_class = Owlv2ImageProcessor
    tokenizer_classes = (CLIPTokenizerFast, CLIPTokenizer)
    text_defaults = {"padding": "max_length"}

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        query_images: Any = None,
        return_tensors: str | None = "np",
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare images with texts to look for, or with images of what to look for.

        Give the arguments by keyword: their order has changed between the reference's releases.
        Two positional ones are recognised by their kind.

        Args:
            images: Where to look: paths, Pillow images, arrays, tensors or lists of them.
            text: What to look for: a string or a list of them, for one image; or a list of B such
                lists. Shorter lists are padded with the text " ", a query like any other.
            query_images: What to look for, shown: one for each image. Not together with `text`.
            return_tensors: "np" for arrays, "tf" for tensors, None for lists.
            **kwargs: For texts, arguments of the tokenizer: `padding` ("max_length" by default),
                `truncation`, `max_length`, ... For images, arguments of the image processor's
                `preprocess`: `size`, `do_rescale`, ... Those of an unused part are ignored. Or
                these in dicts: `text_kwargs`, `images_kwargs`, and `common_kwargs` for both.

        Returns:
            `input_ids` and `attention_mask` (B * Q, N) if there are texts, `query_pixel_values`
            and `pixel_values` (B, C, height, width) if there are such images.

        Raises:
            ValueError: Nothing to prepare, both `text` and `query_images`, an empty list of texts,
                or invalid values.
            TypeError: An unknown keyword, or something that is neither text nor image.
        """
        if text is not None and _is_text(images) and not _is_text(text):
            images, text = text, images
        if text is not None and query_images is not None:
            raise ValueError(
                "Objects are looked for by text or by query_images, not by both; give one of them."
            )
        if text is None and query_images is None and images is None:
            raise ValueError(
                f"{type(self).__name__} was given nothing: expected images, text or query_images."
            )
        for_images, for_text = self._route(kwargs, return_tensors)
        features: dict[str, Any] = {}
        if text is not None:
            features.update(self.tokenizer(_queries(text), **for_text))
        named = {"query_pixel_values": query_images, "pixel_values": images}
        for name, value in named.items():
            if value is not None:
                features[name] = self.image_processor(value, **for_images).pixel_values
        return BatchFeature(features)

    def post_process_object_detection(self, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Call the image processor's method of this name."""
        return self.image_processor.post_process_object_detection(*args, **kwargs)

    def post_process_image_guided_detection(
        self, *args: Any, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """Call the image processor's method of this name."""
        return self.image_processor.post_process_image_guided_detection(*args, **kwargs)

    def post_process_grounded_object_detection(
        self,
        outputs: Any,
        threshold: float = 0.1,
        target_sizes: Sizes | None = None,
        text_labels: Sequence[Sequence[str]] | None = None,
        clip: bool = False,
    ) -> list[dict[str, Any]]:
        """`post_process_object_detection`, with the texts of the labels.

        Args:
            outputs: Those of `TFOwlv2ForObjectDetection`.
            threshold: Boxes of this probability or less are dropped.
            target_sizes: (B, 2), height and width of each original image in pixels.
            text_labels: The texts that were looked for, a list for each image.
            clip: Whether to clip the boxes to the image.

        Returns:
            B dicts `scores` (M,), `labels` (M,), `boxes` (M, 4), and `text_labels`, a list of M
            strings (None without texts).

        Raises:
            TypeError: `outputs` lacks what is needed, or `text_labels` are not lists of strings.
            ValueError: Shapes that do not fit; not as many `target_sizes` or `text_labels` as
                images; or fewer texts than queries.
        """
        results = self.post_process_object_detection(outputs, threshold, target_sizes, clip)
        if text_labels is None:
            return [{**result, "text_labels": None} for result in results]
        if len(text_labels) != len(results) or isinstance(text_labels, str):
            raise ValueError(
                f"text_labels: expected a list of texts for each of {len(results)} images, got "
                f"{text_labels!r}."
            )
        names = _filled([list(texts) for texts in text_labels])
        return [
            {**result, "text_labels": _named(result["labels"], texts)}
            for result, texts in zip(results, names, strict=True)
        ]


class OwlViTProcessor(Owlv2Processor):
    """`Owlv2Processor` for OWL-ViT, with an `OwlViTImageProcessor`.

    Source: `OwlViTProcessor` of transformers 4.57.

    Example:
        >>> OwlViTProcessor.image_processor_class.__name__
        'OwlViTImageProcessor'
    """

    image_processor_class = OwlViTImageProcessor

    def post_process(self, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Call the image processor's method of this name, which warns."""
        return self.image_processor.post_process(*args, **kwargs)


def _is_text(value: object) -> bool:
    """Whether something given by position is text: strings that are not names of files."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, str) and not os.path.isfile(value)


def _queries(text: str | list[str] | list[list[str]]) -> list[str]:
    """One flat list of B * Q texts."""
    if isinstance(text, str):
        return [text]
    if not isinstance(text, list):
        raise TypeError(f"text: expected {_TEXTS}, got a {type(text).__name__}.")
    lists: list[Any] = text if any(isinstance(item, list) for item in text) else [text]
    for texts in lists:
        if not isinstance(texts, list) or not all(isinstance(item, str) for item in texts):
            raise TypeError(f"text: expected {_TEXTS}, got {texts!r} in the list {text!r}.")
    if not any(lists):
        raise ValueError(f"text: expected {_TEXTS}, got an empty list: there is nothing to find.")
    return [query for texts in _filled(lists) for query in texts]


def _filled(lists: list[list[str]]) -> list[list[str]]:
    """The lists, padded to the length of the longest."""
    longest = max(map(len, lists), default=0)
    return [[*texts, *[_FILLER] * (longest - len(texts))] for texts in lists]


def _named(labels: np.ndarray, texts: list[str]) -> list[str]:
    if labels.size and labels.max() >= len(texts):
        raise ValueError(
            f"text_labels: expected a text for each query, got {len(texts)} where query "
            f"{labels.max()} was found. Give the texts that the processor was given."
        )
    return [texts[label] for label in labels]
