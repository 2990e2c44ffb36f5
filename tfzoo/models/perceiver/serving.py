"""What Perceiver serves: filled texts, labels of texts and photos, motion between two frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfzoo.export.answers import checked, class_names, probabilities, ranked
from tfzoo.export.endpoint import Endpoint, ServingError
from tfzoo.export.fitting import check_head, check_tokenizer
from tfzoo.export.graph.byte_text import ByteText
from tfzoo.export.graph.flow import flow_of_frames
from tfzoo.export.graph.images import decode_image, example_image
from tfzoo.export.graph.preprocessing import each_image, graph_preprocessing
from tfzoo.export.options import ServingOptions
from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.models.perceiver.language import (
    TFPerceiverForMaskedLM,
    TFPerceiverForSequenceClassification,
)
from tfzoo.models.perceiver.optical_flow import TFPerceiverForOpticalFlow
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer
from tfzoo.models.perceiver.vision import (
    TFPerceiverForImageClassificationConvProcessing,
    TFPerceiverForImageClassificationFourier,
    TFPerceiverForImageClassificationLearned,
)

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"labels", "top_k", "max_pixels"})


def endpoints(model: Any, processor: Any, options: ServingOptions) -> list[Endpoint]:
    """The signatures of a Perceiver model.

    Args:
        model: One with a head for texts, photos or flow.
        processor: A `PerceiverTokenizer` for texts, a `PerceiverImageProcessor` for photos; any of
            them, or None, for flow.
        options: `labels` and `top_k` of classifiers, `top_k` of masked texts, `max_pixels`.

    Returns:
        `fill_mask`, `classify_text`, `classify_image` or `flow`.

    Raises:
        ServingError: Another model or processor, or options that do not fit.
    """
    check_head(model, *(head for heads, _, _ in _SERVED for head in heads))
    kinds, make = next(row[1:] for row in _SERVED if isinstance(model, row[0]))
    _check(model, processor, kinds, options)
    return [make(model, processor, options)]


def _check(model: Any, processor: Any, kinds: Any, options: ServingOptions) -> None:
    name = type(model).__name__
    if not isinstance(processor, kinds):
        kind = kinds[0] if isinstance(kinds, tuple) else kinds
        raise ServingError(
            f"{name} is served with a {kind.__name__}, got a {type(processor).__name__}."
        )
    labelled = not isinstance(model, (TFPerceiverForMaskedLM, TFPerceiverForOpticalFlow))
    if options.labels is not None and not labelled:
        raise ServingError(f"{name} has no labels: leave labels out.")
    if labelled and model.config.problem_type == "regression":
        raise ServingError(f"{name} with problem_type 'regression' has no labels to serve.")


def _text_codec(model: Any, tokenizer: PerceiverTokenizer) -> ByteText:
    config = model.config
    check_tokenizer(tokenizer, config.vocab_size)
    return ByteText(tokenizer, config.max_position_embeddings)


def _logits(model: Any, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    mask = tf.sequence_mask(lengths, tf.shape(ids)[1], tf.int64)
    return model(input_ids=ids, attention_mask=mask, training=False, return_dict=True).logits


def _fill_mask(
    model: TFPerceiverForMaskedLM, tokenizer: PerceiverTokenizer, options: ServingOptions
) -> Endpoint:
    """`fill_mask`: text -> text, and the candidates for each `[MASK]`."""
    codec, bytes_ = _text_codec(model, tokenizer), [chr(byte) for byte in range(256)]
    mask_token = tokenizer.mask_token

    def fill_mask(text: tf.Tensor) -> dict[str, tf.Tensor]:
        ids, lengths = codec.encode(text)
        is_masked = ids == codec.mask_id
        count = tf.reduce_sum(tf.cast(is_masked, tf.int32), axis=1)
        message = f"text: expected {mask_token} in place of each byte to guess, in each text"
        ids = checked(ids, tf.reduce_all(count > 0), message)
        places = tf.where(is_masked)
        odds = probabilities(tf.gather_nd(_logits(model, ids, lengths), places))
        odds = tf.gather(odds, codec.alphabet, axis=1)
        tokens, scores = ranked(odds, bytes_, options.top_k)
        likeliest = tf.gather(codec.alphabet, tf.argmax(odds, axis=1))
        filled = tf.tensor_scatter_nd_update(ids, places, likeliest)

        def by_text(values: tf.Tensor) -> tf.Tensor:
            rows = places[:, 0], tf.shape(ids, tf.int64)[0]
            return tf.RaggedTensor.from_value_rowids(values, *rows).to_tensor()

        return {
            "text": codec.decode(filled, lengths),
            "num_masks": count,
            "tokens": by_text(tokens),
            "scores": by_text(scores),
        }

    example = f"m{mask_token}ssing".encode()
    return Endpoint("fill_mask", fill_mask, *_text(example))


def _classify_text(
    model: TFPerceiverForSequenceClassification,
    tokenizer: PerceiverTokenizer,
    options: ServingOptions,
) -> Endpoint:
    """`classify_text`: text -> labels, scores; longer texts are cut."""
    codec, score = _text_codec(model, tokenizer), _scorer(model, options)

    def classify_text(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return score(_logits(model, *codec.encode(text, truncate=True)))

    return Endpoint("classify_text", classify_text, *_text(b"what is it?"))


def _text(example: bytes) -> tuple[dict[str, tf.TensorSpec], dict[str, np.ndarray]]:
    spec = tf.TensorSpec([None], tf.string, "text")
    return {"text": spec}, {"text": np.array([example], object)}


def _scorer(model: Any, options: ServingOptions) -> Any:
    """From logits to labels and scores."""
    config = model.config
    names = class_names(options, config.num_labels, config.id2label, type(model).__name__)
    independent = config.problem_type == "multi_label_classification"

    def score(logits: tf.Tensor) -> dict[str, tf.Tensor]:
        labels, scores = ranked(probabilities(logits, independent), names, options.top_k)
        return {"labels": labels, "scores": scores}

    return score


def _classify_image(
    model: Any, processor: PerceiverImageProcessor, options: ServingOptions
) -> Endpoint:
    """`classify_image`: the bytes of a photo -> labels, scores."""
    prepare, score = graph_preprocessing(processor, options.max_pixels), _scorer(model, options)
    takes = tf.TensorShape(model.inputs_table[0].spec(model.config).shape)
    if not takes.is_compatible_with((None, 3, *prepare.size)):
        raise ServingError(
            f"The processor makes images of {prepare.size[0]} x {prepare.size[1]} pixels, the "
            f"model takes {takes[2]} x {takes[3]}: set the processor's size."
        )

    def classify_image(image: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels, _ = prepare.images(image)
        return score(model(pixel_values=pixels, training=False, return_dict=True).logits)

    return Endpoint("classify_image", classify_image, *_images(["image"], example_image()))


def _flow(model: TFPerceiverForOpticalFlow, processor: Any, options: ServingOptions) -> Endpoint:
    """`flow`: the bytes of two frames -> how each pixel moves."""

    def flow(image1: tf.Tensor, image2: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = tf.stack([image1, image2], axis=1)
        return {"flow": flow_of_frames(model, _frames(pairs, options.max_pixels))}

    blank = tf.io.encode_png(tf.zeros((*model.config.train_size, 3), tf.uint8)).numpy()
    return Endpoint("flow", flow, *_images(["image1", "image2"], blank))


def _images(names: list[str], example: bytes) -> tuple[dict[str, tf.TensorSpec], dict[str, Any]]:
    specs = {name: tf.TensorSpec([None], tf.string, name) for name in names}
    return specs, {name: np.array([example], object) for name in names}


def _frames(encoded: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """(B, 2) strings -> (B, 2, height, width, 3) float32, values of 0 to 255."""
    flat = tf.reshape(encoded, (-1,))
    flat = checked(flat, tf.size(flat) > 0, "image1, image2: expected frames, got an empty batch")
    size = tf.shape(decode_image(flat[0], max_pixels))
    message = "image1, image2: all frames of a request must have one size, got"

    def decode(one: tf.Tensor) -> tf.Tensor:
        frame = decode_image(one, max_pixels)
        same = tf.reduce_all(tf.shape(frame) == size)
        return tf.cast(checked(frame, same, message, tf.shape(frame), size), tf.float32)

    pixels = each_image(decode, flat, tf.TensorSpec((None, None, 3), tf.float32))
    frames = tf.reshape(pixels, tf.concat([tf.shape(encoded), size], 0))
    return tf.ensure_shape(frames, (None, 2, None, None, 3))


_SERVED = (
    ((TFPerceiverForMaskedLM,), PerceiverTokenizer, _fill_mask),
    ((TFPerceiverForSequenceClassification,), PerceiverTokenizer, _classify_text),
    (
        (
            TFPerceiverForImageClassificationLearned,
            TFPerceiverForImageClassificationFourier,
            TFPerceiverForImageClassificationConvProcessing,
        ),
        PerceiverImageProcessor,
        _classify_image,
    ),
    (
        (TFPerceiverForOpticalFlow,),
        (PerceiverImageProcessor, PerceiverTokenizer, type(None)),
        _flow,
    ),
)
