"""X-CLIP's preprocessing: VideoMAE's processor for the videos, CLIP's tokenizer for the texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfzoo.preprocessing.multimodal import BaseProcessor
from tfzoo.preprocessing.processor import BatchFeature
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor
from tfzoo.text.clip import CLIPTokenizer, CLIPTokenizerFast

__all__ = ["CLIPTokenizer", "CLIPTokenizerFast", "XCLIPProcessor"]


class XCLIPProcessor(BaseProcessor):
    """Texts to `input_ids` and `attention_mask`, videos to `pixel_values`.

    Args:
        image_processor: A `VideoMAEImageProcessor`. Its crop must be the model's
            `vision_config.image_size`: the file of a 336-pixel checkpoint that has `size` alone
            still gives crops of 224 x 224, which the model refuses; load it with `crop_size=336`.
        tokenizer: A `CLIPTokenizerFast` or `CLIPTokenizer`.
        feature_extractor: The image processor's old name; it warns.

    Raises:
        TypeError: A part is missing or of another class.

    Source: `XCLIPProcessor` of transformers 4.57, whose call however silently drops `videos=`;
    here `videos` and `images` are two names of one argument.

    Example:
        >>> import json, pathlib, string, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())  # a vocabulary of single letters
        >>> tokens = [letter + end for end in ("", "</w>") for letter in string.ascii_lowercase]
        >>> tokens += ["<|startoftext|>", "<|endoftext|>"]
        >>> vocabulary = {token: index for index, token in enumerate(tokens)}
        >>> _ = (folder / "vocab.json").write_text(json.dumps(vocabulary))
        >>> _ = (folder / "merges.txt").write_text("#version: 0.2\\n")
        >>> tokenizer = CLIPTokenizerFast.from_pretrained(folder)
        >>> processor = XCLIPProcessor(VideoMAEImageProcessor(), tokenizer)
        >>> inputs = processor(
        ...     text=["playing sports", "eating spaghetti", "go shopping"],
        ...     videos="clip.mp4",
        ...     num_frames=8,
        ...     padding=True,
        ...     return_tensors="tf",
        ... )
        >>> {name: tuple(value.shape) for name, value in inputs.items()}
        {'pixel_values': (1, 8, 3, 224, 224), 'input_ids': (3, 17), 'attention_mask': (3, 17)}
    """

    image_processor_class = VideoMAEImageProcessor
    tokenizer_classes = (CLIPTokenizerFast, CLIPTokenizer)

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        images: Any = None,
        videos: Any = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare texts, videos, or both.

        Give the arguments by keyword: their order has changed between the reference's releases
        (here, two positional ones are texts and videos).

        Args:
            text: A string or a list of them.
            images: Another name of `videos`.
            videos: One video or a batch, as paths, arrays or lists of frames, see
                `make_batched_videos`; all with the same number of frames.
            return_tensors: "np" for arrays, "tf" for tensors, None for lists.
            **kwargs: For texts, arguments of the tokenizer: `padding` (True pads to the longest),
                `truncation`, `max_length`, `add_special_tokens`, ... For videos, arguments of
                `VideoMAEImageProcessor.preprocess`: `num_frames` (how many to read of files),
                `sampling`, `size`, `crop_size`, `do_rescale`, ... Those of an unused part are
                ignored. Or these in dicts: `text_kwargs`, `videos_kwargs` (or `images_kwargs`),
                and `common_kwargs` for both.

        Returns:
            `pixel_values` (B, T, C, height, width) if there are videos; `input_ids` and
            `attention_mask` (texts, N) if there are texts.

        Raises:
            ValueError: Neither texts nor videos, both `images` and `videos`, or invalid values.
            TypeError: An unknown keyword, or something that is neither text nor video.
        """
        if images is not None and videos is not None:
            raise ValueError("images and videos are two names of one argument; give one of them.")
        return self._prepare(text, images if videos is None else videos, return_tensors, kwargs)
