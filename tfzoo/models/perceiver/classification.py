"""What the heads have in common that classify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfzoo.losses.classification import classification_loss
from tfzoo.models.perceiver.config import PerceiverConfig
from tfzoo.models.perceiver.decoder_heads import TFPerceiverClassificationDecoder
from tfzoo.models.perceiver.outputs import TFPerceiverClassifierOutput

__all__ = ["ClassifierMixin", "classification_decoder"]


def classification_decoder(config: PerceiverConfig) -> TFPerceiverClassificationDecoder:
    """The decoder of the ready-made classifiers: one trainable query as wide as the latents."""
    return TFPerceiverClassificationDecoder(
        config,
        num_channels=config.d_latents,
        trainable_position_encoding_kwargs={"num_channels": config.d_latents, "index_dims": 1},
        use_query_residual=True,
        name="decoder",
    )


class ClassifierMixin:
    """Checks, call and loss of a classifier.

    Attributes:
        input_names: The names that the inputs may have; one of them is to be given.
    """

    input_names: tuple[str, ...] = ("inputs",)

    def check_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what the preprocessor cannot take, and labels of another number of samples."""
        super().check_inputs(inputs)
        data = self.one_of(inputs, *self.input_names)
        self.perceiver.check_inputs({**inputs, "inputs": data})
        labels = inputs.get("labels")
        if labels is None or isinstance(data, Mapping):
            return
        samples, given = data.shape[0], labels.shape[0] if len(labels.shape) else None
        if None not in (samples, given) and samples != given:
            raise ValueError(
                f"{type(self).__name__}: labels must be as many as the {samples} samples, got "
                f"{tuple(labels.shape)}."
            )

    def classify(self, labels: Any, **inputs: Any) -> TFPerceiverClassifierOutput:
        """Run the model inside, and compute the loss where there are labels."""
        outputs = self.perceiver(**inputs, return_dict=True)
        result = TFPerceiverClassifierOutput(
            logits=outputs.logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            cross_attentions=outputs.cross_attentions,
        )
        if labels is None:
            return result
        return TFPerceiverClassifierOutput(loss=self.compute_output_loss(labels, result), **result)

    def compute_output_loss(
        self, labels: Any, outputs: TFPerceiverClassifierOutput, sample_weight: Any = None
    ) -> Any:
        """Cross-entropy, binary cross-entropy or squared error, see `classification_loss`."""
        config = self.config
        return classification_loss(
            labels, outputs["logits"], config.num_labels, config.problem_type, sample_weight
        )
