"""Models built on CLIP's towers: each tower alone, and both in one space.

X-CLIP, OWLv2 and OWL-ViT are built on them and say what differs.
Source: Radford et al. 2021, arXiv:2103.00020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tfzoo.core.config import TextVisionConfig
from tfzoo.core.inputs import Input, InputTable, check_ids
from tfzoo.core.outputs import TFBaseModelOutputWithPooling
from tfzoo.core.types import Tensor
from tfzoo.hub import HubError
from tfzoo.layers.attention import MultiHeadAttention
from tfzoo.layers.clip import (
    ClipBlock,
    ClipSizes,
    ClipTextTransformer,
    ClipVisionEmbeddings,
    ClipVisionTransformer,
    Tower,
    normal,
)
from tfzoo.layers.linear import Linear
from tfzoo.modeling.base import TFPreTrainedModel
from tfzoo.modeling.training import ContrastiveMixin

__all__ = [
    "TEXT_INPUTS",
    "ClipModel",
    "ClipPreTrainedModel",
    "ClipTextModel",
    "ClipVisionModel",
    "images_input",
    "pooled_output",
]

TEXT_INPUTS = (
    Input("input_ids", "int64", ("texts", "sequence"), "Ids as the tokenizer gives them."),
    Input(
        "attention_mask",
        "mask",
        ("texts", "sequence"),
        "1 for tokens, 0 for padding.",
        optional=True,
        exported=("texts", "sequence"),
    ),
    Input("position_ids", "int64", None, "(texts or 1, sequence) positions.", optional=True),
)


def images_input(
    name: str = "pixel_values",
    prefix: str = "",
    axes: tuple[str, ...] = ("images",),
    description: str = "Images as the processor gives them.",
) -> Input:
    """The row of an input of images.

    Args:
        name: The input's name.
        prefix: Where the vision tower's configuration stands in the model's.
        axes: The axes before those of an image.
        description: What the input holds.
    """
    axes, side = (*axes, f"{prefix}num_channels"), f"{prefix}image_size"
    shape = (*axes, "height", "width")
    return Input(name, "float32", shape, description, exported=(*axes, side, side))


def pooled_output(tower: Tower) -> TFBaseModelOutputWithPooling:
    """The output object of what a tower returns."""
    last, pooled, states, weights = tower
    return TFBaseModelOutputWithPooling(
        last_hidden_state=last,
        pooler_output=pooled,
        hidden_states=states or None,
        attentions=weights or None,
    )


class ClipPreTrainedModel(TFPreTrainedModel):
    """Base class of the models built on CLIP's towers.

    Attributes:
        exact_size: Whether images with pixels beyond the last whole patch are refused.
    """

    exact_size: ClassVar[bool] = True

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse wrong inputs.

        Raises:
            ValueError: Missing inputs, a wrong dtype or shape, texts longer than the positions, ids
                outside the vocabulary, images of another size, or an empty batch.
        """
        self.check_table(self._table, inputs, inputs.get("interpolate_pos_encoding"))

    def check_table(
        self, table: InputTable, inputs: Mapping[str, Any], interpolate: bool | None = False
    ) -> None:
        """Refuse wrong inputs of a method, see `check_inputs`.

        Args:
            table: The method's inputs.
            inputs: What came, by name.
            interpolate: Whether the positions are resized to the images.
        """
        table.check(inputs, self.config)
        text = getattr(self.config, "text_config", self.config)
        vision = getattr(self.config, "vision_config", self.config)
        for row in table.rows:
            shape = tuple(getattr(inputs.get(row.name), "shape", ()))
            if 0 in shape:
                raise ValueError(f"{table.owner}: {row.name} is empty: its shape is {shape}.")
            if row.name == "input_ids":
                _check_text(table.owner, inputs, text)
            elif row.name.endswith("pixel_values"):
                size = inputs[row.name].shape[-2:]
                owner = f"{table.owner}: {row.name}"
                _check_size(owner, size, vision, bool(interpolate), self.exact_size)

    def bind_inputs(
        self,
        method: str,
        rows: Sequence[Input],
        first: Any,
        interpolate: bool = False,
        **others: Any,
    ) -> dict[str, Any]:
        """The checked inputs of a method, in any of the forms that a model takes.

        Args:
            method: The method's name, for errors.
            rows: The tensors that it takes, in documented order.
            first: Its first argument: a tensor, or a dict, list or tuple of the inputs.
            interpolate: Whether the positions are resized to the images.
            **others: Its further tensors by name.

        Raises:
            ValueError: As the model's call.
        """
        owner = f"{type(self).__name__}.{method}"
        table = InputTable(rows, [row.name for row in rows], owner)
        inputs = table.bind(() if first is None else (first,), others)
        self.check_table(table, inputs, interpolate)
        return {name: value for name, value in inputs.items() if value is not None}

    def tokenizer_for(self, tokenizer: Any = None) -> Any:
        """The tokenizer, or that of a processor; the one beside the checkpoint where None.

        Raises:
            ValueError: Nothing was given, and the checkpoint has no tokenizer.
        """
        if tokenizer is not None:
            return getattr(tokenizer, "tokenizer", tokenizer)
        from tfzoo.text.clip import CLIPTokenizerFast

        hint = "pass tokenizer=CLIPTokenizerFast.from_pretrained(...)."
        name: str | Path = self.config.name_or_path
        where: dict[str, Any] = {}
        if self.source is not None:
            name, where = self.source.name, self.source.options.keywords()
        if not name:
            raise ValueError(
                f"The {type(self).__name__} was not loaded from a checkpoint, so its tokenizer is "
                f"unknown: {hint}"
            )
        try:
            return CLIPTokenizerFast.from_pretrained(name, **where)
        except HubError as error:
            raise ValueError(f"{name} holds no tokenizer: {hint}") from error

    def word_embeddings(self) -> tuple[keras.layers.Layer, str] | None:
        text = getattr(self.base_model, "text_model", None)
        return None if text is None else (text.embeddings, "token_embedding")

    def attention_layers(self) -> list[MultiHeadAttention]:
        towers = (getattr(self.base_model, f"{kind}_model", None) for kind in ("text", "vision"))
        return [block.self_attn for tower in towers if tower for block in tower.encoder.layers]

    def vision_block(self, config: Any) -> Callable[..., keras.layers.Layer]:
        """What makes one block of the vision tower with this configuration."""
        return ClipBlock

    def text_tower(self, config: Any) -> ClipTextTransformer:
        """A text tower with this configuration."""
        return ClipTextTransformer(
            config.vocab_size,
            config.max_position_embeddings,
            ClipSizes.of(config, self.config.initializer_factor),
            name="text_model",
        )

    def vision_tower(self, config: Any) -> ClipVisionTransformer:
        """A vision tower with this configuration."""
        sizes = ClipSizes.of(config, self.config.initializer_factor)
        embeddings = ClipVisionEmbeddings(
            config.image_size,
            config.patch_size,
            config.num_channels,
            sizes,
            config.initializer_range,
            name="embeddings",
        )
        block = self.vision_block(config)
        return ClipVisionTransformer(embeddings, sizes, block, name="vision_model")


def _check_text(owner: str, inputs: Mapping[str, Any], config: Any) -> None:
    """Refuse texts that the text tower cannot take."""
    ids, limit = inputs["input_ids"], config.max_position_embeddings
    length = ids.shape[1]
    if length is not None and length > limit:
        raise ValueError(
            f"{owner}: input_ids hold {length} tokens, the model has positions for {limit} "
            "(max_position_embeddings): pass truncation=True to the tokenizer."
        )
    for name in ("attention_mask", "position_ids"):
        shape = getattr(inputs.get(name), "shape", (None, None))
        fits = len(shape) == 2 and (None in (shape[1], length) or shape[1] == length)
        if not fits:
            raise ValueError(
                f"{owner}: {name} must have shape (texts, sequence={length}) like input_ids, "
                f"got {tuple(shape)}."
            )
    check_ids(owner, "input_ids", ids, config.vocab_size, "vocab_size")
    check_ids(owner, "position_ids", inputs.get("position_ids"), limit, "max_position_embeddings")


def _check_size(
    owner: str, size: Sequence[int | None], config: Any, interpolate: bool, exact: bool
) -> None:
    """Refuse images whose height and width do not fit the vision tower."""
    patch, side = config.patch_size, config.image_size

    def fits(length: int) -> bool:
        if interpolate:
            return length >= patch
        return length == side if exact else length // patch == side // patch

    if not all(length is None or fits(length) for length in size):
        wanted = f"at least one patch of {patch} x {patch}" if interpolate else f"{side} x {side}"
        hint = "" if interpolate else ", or pass interpolate_pos_encoding=True"
        raise ValueError(
            f"{owner} must have {wanted} pixels, got {size[0]} x {size[1]}. Set the size (and "
            f"crop_size, where there is one) of the processor{hint}."
        )


class ClipTextModel(ClipPreTrainedModel):
    """A text tower as a model of its own, a causal transformer."""

    inputs_table = TEXT_INPUTS
    main_output = "pooler_output"

    def setup(self, config: Any) -> None:
        self.text_model = self.text_tower(config)

    def build_layers(self) -> None:
        self.text_model.build()

    def call(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """Encode texts.

        Args:
            input_ids: (B, N), token ids; N at most `max_position_embeddings`.
            attention_mask: (B, N), 1 for tokens and 0 for padding; no padding where None.
            position_ids: (B, N) or (1, N), positions; 0, 1, 2, ... where None. OWLv2 and OWL-ViT
                do not take any.
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            training: Whether dropout acts.

        Returns:
            `last_hidden_state` (B, N, D) after the final norm; `pooler_output` (B, D), its row at
            the first of the largest ids, which is CLIP's end of text; `hidden_states`,
            `attentions`.

        Raises:
            ValueError: Texts too long, or ids outside the vocabulary.
        """
        return pooled_output(
            self.text_model(
                input_ids,
                attention_mask,
                position_ids,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
            )
        )

    def get_input_embeddings(self) -> keras.layers.Embedding:
        """The layer that embeds the tokens."""
        return self.text_model.embeddings.token_embedding


class ClipVisionModel(ClipPreTrainedModel):
    """A vision tower as a model of its own."""

    inputs_table = (images_input(),)
    main_output = "pooler_output"

    def setup(self, config: Any) -> None:
        self.vision_model = self.vision_tower(config)

    def build_layers(self) -> None:
        self.vision_model.build()

    def call(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        interpolate_pos_encoding: bool = False,
        training: bool = False,
    ) -> TFBaseModelOutputWithPooling:
        """Encode images, or the frames of clips.

        Args:
            pixel_values: (B, C, height, width), floats; X-CLIP takes the frames of each clip in
                order, (B T, C, height, width).
            output_attentions: Return the attention weights; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take images of another size than the config's.
            training: Whether dropout and stochastic depth act.

        Returns:
            `last_hidden_state` (B, 1 + N, D) without a norm; `pooler_output` (B, D), the normed
            class token; `hidden_states`; `attentions` (B, H, 1 + N, 1 + N), in X-CLIP with one
            more token, the message, at the end.

        Raises:
            ValueError: Images of another size, or frames that do not make whole clips.
        """
        return pooled_output(
            self.vision_model(
                pixel_values,
                interpolate_pos_encoding=interpolate_pos_encoding,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
            )
        )

    def get_input_embeddings(self) -> keras.layers.Layer:
        """The layer that embeds the patches."""
        return self.vision_model.embeddings.patch_embedding


# Names of what Keras divides in the place of texts: for each image or video all of them, and which
# of the text tower's outputs its row brings along.
_SHARED, _ROWS = "shared_", "rows_of_texts"


class ClipModel(ContrastiveMixin, ClipPreTrainedModel):
    """Both towers, with projections into one space. Families define `call`.

    `fit` and `evaluate` without `y` train on pairs, which are divided together. Otherwise, and in
    `predict`, Keras divides the images or videos, and all texts go along with each batch.

    Attributes:
        text_inputs: Rows of the inputs of the text tower.
        text_outputs: The outputs that have a row for each text.
    """

    text_inputs: ClassVar[tuple[Input, ...]] = TEXT_INPUTS
    text_outputs: ClassVar[tuple[str, ...]] = ("text_model_output",)
    config: TextVisionConfig

    def setup(self, config: Any) -> None:
        self.text_model = self.text_tower(config.text_config)
        self.vision_model = self.vision_tower(config.vision_config)
        self.visual_projection = self._projection(config.vision_config, "visual_projection")
        self.text_projection = self._projection(config.text_config, "text_projection")

    def _projection(self, tower: Any, name: str) -> Linear:
        initializer = normal(self.config.initializer_factor * tower.hidden_size**-0.5)
        return Linear(
            self.config.projection_dim, use_bias=False, kernel_initializer=initializer, name=name
        )

    def build_layers(self) -> None:
        self.text_model.build()
        self.vision_model.build()
        self.visual_projection.build((None, self.config.vision_config.hidden_size))
        self.text_projection.build((None, self.config.text_config.hidden_size))
        self.build_comparison()

    def build_comparison(self) -> None:
        """Build what compares texts with images, after the towers and the projections."""
        self.logit_scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.config.logit_scale_init_value),
            name="logit_scale",
        )

    # ---- what Keras divides, see `BatchingMixin`
    def divided_inputs(
        self, inputs: dict[str, Any], labels: Any, *, paired: bool
    ) -> tuple[dict[str, Any], Any]:
        if not {"input_ids", "pixel_values"} <= set(inputs):
            return inputs, labels  # which the call refuses
        count, videos = inputs["input_ids"].shape[0], inputs["pixel_values"].shape[0]
        if paired and count != videos:
            raise ValueError(
                f"{type(self).__name__}: expected pairs, as many rows of input_ids as of "
                f"pixel_values, got {count} and {videos}. To train with texts as classes, pass y, "
                "the index of the text of each, and compile(loss=...)."
            )
        if paired or 0 in (count, videos):
            return inputs, labels
        divided = dict(inputs)
        for name in (row.name for row in self.text_inputs if row.name in inputs):
            texts = keras.ops.convert_to_numpy(divided.pop(name))
            texts = texts.astype("int32") if texts.dtype == bool else texts
            divided[_SHARED + name] = np.repeat(texts[None], videos, axis=0)
        rows = np.arange(videos * -(-count // videos), dtype="int32").reshape(videos, -1)
        return {**divided, _ROWS: np.minimum(rows, count - 1)}, labels

    def whole_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self._shares_texts = _ROWS in inputs
        # All rows are the same; unlike the first one, their maximum exists in the empty share that
        # a replica may get.
        return {
            name.removeprefix(_SHARED): keras.ops.max(value, axis=0, initial=0)
            if name.startswith(_SHARED)
            else value
            for name, value in inputs.items()
            if name != _ROWS
        }

    def divided_outputs(self, outputs: Any, inputs: Mapping[str, Any]) -> Any:
        if not self._shares_texts:
            return outputs

        def rows(value: Tensor) -> Tensor:
            return keras.ops.take(value, inputs[_ROWS], axis=0)

        return self._changed(outputs, rows, keras.ops.transpose)

    def whole_outputs(self, outputs: Any, inputs: Mapping[str, Any]) -> Any:
        if _ROWS not in inputs:
            return outputs
        count = inputs[f"{_SHARED}input_ids"].shape[1]
        return self._changed(outputs, lambda rows: np.concatenate(rows)[:count], np.transpose)

    def _changed(
        self, outputs: Any, change: Callable[[Any], Any], transpose: Callable[[Any], Any]
    ) -> Any:
        """The outputs with those of the text tower changed, and the texts' logits transposed."""
        of_texts = {
            name: keras.tree.map_structure(change, outputs[name]) for name in self.text_outputs
        }
        per_text = {"logits_per_text": transpose(outputs["logits_per_text"])}
        return type(outputs)({**outputs, **of_texts, **per_text})

    # ---- features
    def get_text_features(
        self,
        input_ids: Tensor | Mapping[str, Tensor] | Sequence[Tensor] | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Tensor:
        """The texts in the common space, not of length 1; in X-CLIP before any video's prompts.

        Args:
            input_ids: (Q, N), token ids, or a dict, list or tuple of the inputs.
            attention_mask: (Q, N), 1 for tokens and 0 for padding.
            position_ids: (Q, N) or (1, N), positions. OWLv2 and OWL-ViT do not take any.
            output_attentions: Without effect, as in the reference.
            output_hidden_states: Without effect, as in the reference.
            return_dict: Without effect, as in the reference.

        Returns:
            (Q, P).

        Raises:
            ValueError: No texts, texts too long, or ids outside the vocabulary.

        Example:
            >>> from tfzoo import TFXCLIPModel, XCLIPConfig
            >>> tower = {"num_hidden_layers": 1}
            >>> model = TFXCLIPModel(XCLIPConfig(text_config=tower, vision_config=tower))
            >>> model.get_text_features(np.array([[49406, 320, 49407]])).shape
            TensorShape([1, 512])
        """
        others: dict[str, Any] = {"attention_mask": attention_mask, "position_ids": position_ids}
        inputs = self.bind_inputs("get_text_features", self.text_inputs, input_ids, **others)
        return self.text_projection(self.text_model(**inputs)[1])

    def get_input_embeddings(self) -> keras.layers.Embedding:
        """The layer that embeds the tokens."""
        return self.text_model.embeddings.token_embedding
