"""Perceiver's signatures: filled texts, labels of texts and images, motion between frames."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfzoo.export.endpoint import (
    Endpoint,
    ServingError,
    ServingOptions,
    check_head,
    check_processor,
    check_tokenizer,
    class_names,
)
from tfzoo.export.graph.answers import checked, probabilities, ranked
from tfzoo.export.graph.byte_text import ByteText
from tfzoo.export.graph.flow import flow_of_frames
from tfzoo.export.graph.images import decode_image, example_image
from tfzoo.export.graph.preprocessing import each_image, graph_preprocessing
from tfzoo.io.limits import FLOW_PIXELS
from tfzoo.models.perceiver.heads.language import (
    TFPerceiverForMaskedLM,
    TFPerceiverForSequenceClassification,
)
from tfzoo.models.perceiver.heads.vision import CLASSIFIERS, TFPerceiverForOpticalFlow
from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer

__all__ = ["OPTIONS", "endpoints"]

OPTIONS = frozenset({"labels", "top_k", "max_pixels"})


def endpoints(model: Any, processor: Any, options: ServingOptions) -> list[Endpoint]:
    """The signature of a model: `fill_mask`, `classify_text`, `classify_image` or `flow`.

    Args:
        model: One with a head for texts, images or flow.
        processor: A `PerceiverTokenizer` for texts, a `PerceiverImageProcessor` for images; either
            of them, or None, for flow.
        options: `labels` and `top_k` of classifiers, `top_k` of masked texts, `max_pixels`.

    Raises:
        ServingError: Another model or processor, or options that do not fit.
    """
    check_head(model, *(head for heads, _, _ in _SERVED for head in heads))
    kinds, make = next(row[1:] for row in _SERVED if isinstance(model, row[0]))
    check_processor(model, processor, *kinds)
    name = type(model).__name__
    labelled = not isinstance(model, (TFPerceiverForMaskedLM, TFPerceiverForOpticalFlow))
    if options.labels is not None and not labelled:
        raise ServingError(f"{name} has no labels: leave labels out.")
    if labelled and model.config.problem_type == "regression":
        raise ServingError(f"{name} with problem_type 'regression' has no labels to serve.")
    return [make(model, processor, options)]


def _text_codec(model: Any, tokenizer: PerceiverTokenizer) -> ByteText:
    check_tokenizer(tokenizer, model.config.vocab_size)
    return ByteText(tokenizer, model.config.max_position_embeddings)


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
        scores = probabilities(tf.gather_nd(_logits(model, ids, lengths), places))
        scores = tf.gather(scores, codec.alphabet, axis=1)
        likeliest = tf.gather(codec.alphabet, tf.argmax(scores, axis=1))
        tokens, scores = ranked(scores, bytes_, options.top_k)
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
    return Endpoint.of("fill_mask", fill_mask, text=[example])


def _classify_text(
    model: TFPerceiverForSequenceClassification,
    tokenizer: PerceiverTokenizer,
    options: ServingOptions,
) -> Endpoint:
    """`classify_text`: text -> labels, scores; long texts are cut."""
    codec, score = _text_codec(model, tokenizer), _scorer(model, options)

    def classify_text(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return score(_logits(model, *codec.encode(text, truncate=True)))

    return Endpoint.of("classify_text", classify_text, text=[b"what is it?"])


def _scorer(model: Any, options: ServingOptions) -> Any:
    """Make the function from logits to labels and scores."""
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
    """`classify_image`: encoded images -> labels, scores."""
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

    return Endpoint.of("classify_image", classify_image, image=[example_image()])


def _flow(model: TFPerceiverForOpticalFlow, processor: Any, options: ServingOptions) -> Endpoint:
    """`flow`: two encoded frames -> how each pixel moves."""

    def flow(image1: tf.Tensor, image2: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = tf.stack([image1, image2], axis=1)
        return {"flow": flow_of_frames(model, _frames(pairs, options.max_pixels))}

    blank = tf.io.encode_png(tf.zeros((*model.config.train_size, 3), tf.uint8)).numpy()
    return Endpoint.of("flow", flow, image1=[blank], image2=[blank])


def _frames(encoded: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """(B, 2) strings -> (B, 2, height, width, 3) float32, values of 0 to 255."""
    flat = tf.reshape(encoded, (-1,))
    flat = checked(flat, tf.size(flat) > 0, "image1, image2: expected frames, got an empty batch")
    size = tf.shape(decode_image(flat[0], max_pixels))
    every = tf.cast(tf.shape(encoded)[0], tf.int64) * tf.reduce_prod(tf.cast(size[:2], tf.int64))
    message = f"image1, image2: expected up to {FLOW_PIXELS} pixels in all first frames, got"
    flat = checked(flat, every <= FLOW_PIXELS, message, every)
    message = "image1, image2: all frames of a request must have one size, got"

    def decode(one: tf.Tensor) -> tf.Tensor:
        frame = decode_image(one, max_pixels)
        same = tf.reduce_all(tf.shape(frame) == size)
        return tf.cast(checked(frame, same, message, tf.shape(frame), size), tf.float32)

    pixels = each_image(decode, flat, tf.TensorSpec((None, None, 3), tf.float32))
    frames = tf.reshape(pixels, tf.concat([tf.shape(encoded), size], 0))
    return tf.ensure_shape(frames, (None, 2, None, None, 3))


_ANY = (PerceiverImageProcessor, PerceiverTokenizer, type(None))
_SERVED = (
    ((TFPerceiverForMaskedLM,), (PerceiverTokenizer,), _fill_mask),
    ((TFPerceiverForSequenceClassification,), (PerceiverTokenizer,), _classify_text),
    (CLASSIFIERS, (PerceiverImageProcessor,), _classify_image),
    ((TFPerceiverForOpticalFlow,), _ANY, _flow),
)
