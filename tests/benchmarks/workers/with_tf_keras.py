"""The side of transformers' old TensorFlow classes: `from_pretrained`, calls in a `tf.function`.

Runs in an environment of its own, with tf-keras, and imports neither tfzoo nor the tests.
"""

from __future__ import annotations

from typing import Any

import measure
import numpy as np


class TfKerasSide:
    """One of the old models, on the job's threads."""

    def __init__(self, job: dict[str, Any], inputs: dict[str, np.ndarray]) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
        tf.config.threading.set_inter_op_parallelism_threads(job["inter_op_threads"])
        import tf_keras
        import transformers

        transformers.logging.set_verbosity_error()
        self.tf, self.job = tf, job
        self.cls = getattr(transformers, job["model"])
        self.inputs = {name: tf.constant(value) for name, value in inputs.items()}
        self.versions = {"tf-keras": tf_keras.__version__, "transformers": transformers.__version__}

    def load(self) -> None:
        self.model = self.cls.from_pretrained(self.job["checkpoint"])
        self.call = self.tf.function(lambda inputs: self.model(inputs, training=False))

    def step(self) -> Any:
        return self.call(self.inputs)

    def arrays(self, outputs: Any) -> dict[str, np.ndarray]:
        flat = measure.flatten(outputs)
        return {name: value.numpy() for name, value in flat.items()}


if __name__ == "__main__":
    measure.run(TfKerasSide)
