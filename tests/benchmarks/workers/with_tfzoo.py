"""tfzoo's side: `from_pretrained`, then calls in a `tf.function`, or steps of `train_on_batch`."""

from __future__ import annotations

from typing import Any

import measure
import numpy as np


class TfzooSide:
    """One model of tfzoo, on the job's threads."""

    def __init__(self, job: dict[str, Any], inputs: dict[str, np.ndarray]) -> None:
        import keras
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(job["inter_op_threads"])
        import tfzoo

        self.tf, self.keras, self.job = tf, keras, job
        self.cls = getattr(tfzoo, job["model"])
        self.inputs = {name: tf.constant(value) for name, value in inputs.items()}
        self.versions = {
            "tfzoo": tfzoo.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }

    def load(self) -> None:
        self.model = self.cls.from_pretrained(self.job["checkpoint"], dtype=self.job["dtype"])
        self.call = self.tf.function(self._with_bank() if self.job["text_bank"] else self._whole)
        if self.job["train"]:
            optimizer = self.keras.optimizers.SGD(self.job["learning_rate"])
            self.model.compile(optimizer=optimizer, jit_compile=False)

    def _whole(self, inputs: dict[str, Any]) -> Any:
        return self.model(**inputs, training=False)

    def _with_bank(self) -> Any:
        """The call that is left when the texts have been encoded."""
        texts = {name: value for name, value in self.inputs.items() if name != "pixel_values"}
        if hasattr(self.model, "encode_queries"):
            queries = self.model.encode_queries(texts)
            return lambda inputs: self.model.detect(inputs["pixel_values"], queries)
        bank = self.model.get_text_features(**texts)

        def call(inputs: dict[str, Any]) -> Any:
            return self.model.compare(bank, *self.model.encode_videos(inputs["pixel_values"]))

        return call

    def step(self) -> Any:
        if not self.job["train"]:
            return self.call(self.inputs)
        self.model.reset_metrics()  # else it reports the mean loss of all steps so far
        return float(self.model.train_on_batch(self.inputs, return_dict=True)["loss"])

    def arrays(self, outputs: Any) -> dict[str, np.ndarray]:
        flat = measure.flatten(outputs)
        return {name: self.tf.cast(value, "float32").numpy() for name, value in flat.items()}


if __name__ == "__main__":
    measure.run(TfzooSide)
