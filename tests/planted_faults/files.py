"""Faults in how files are read, whoever wrote them."""

from __future__ import annotations

from tests.planted_faults.fault import Fault

FAULTS = (
    Fault(
        name="json-of-any-depth",
        file="tfzoo/core/files.py",
        old="_MAX_DEPTH = 100",
        new="_MAX_DEPTH = 10_000",
        tests="tests/core/test_reading.py",
    ),
    Fault(
        name="config-newer-dtype-stale",
        file="tfzoo/core/config.py",
        old="self.dtype = self.torch_dtype = dtype",
        new="self.torch_dtype = dtype",
        tests="tests/core/test_config.py",
    ),
    Fault(
        name="config-keys-shadow-methods",
        file="tfzoo/core/fields.py",
        old='if name.startswith("__") or hasattr(type(self), name):',
        new='if name.startswith("__"):',
        tests="tests/core/test_config.py",
    ),
    Fault(
        name="adapters-rslora-ignored",
        file="tfzoo/modeling/adapters.py",
        old='alpha * math.sqrt(rank) if config.get("use_rslora") else alpha',
        new="alpha",
        tests="tests/features/test_adapters.py",
    ),
    Fault(
        name="keras-shards-unchecked",
        file="tfzoo/modeling/keras_files.py",
        old='.endswith((".weights.h5", ".weights.json"))',
        new='.endswith(".weights.h5")',
        tests="tests/modeling/test_checkpoint.py",
    ),
    Fault(
        name="auto-classes-of-any-kind",
        file="tfzoo/auto.py",
        old="if isinstance(found, type) and issubclass(found, cls._kind()):",
        new="if found is not None:",
        tests="tests/modeling/test_checkpoint.py",
    ),
    Fault(
        name="recipes-seed-of-the-clock",
        file="recipes/running.py",
        old="keras.utils.set_random_seed(seed)",
        new="keras.utils.set_random_seed(int(time.time()))",
        tests="tests/recipes/test_owlv2_shapes.py",
        slow=True,
    ),
    Fault(
        name="distribution-pairs-not-shifted",
        file="tfzoo/core/keras_compat.py",
        old="[(first, after), *rest])), first",
        new="[(first, after), *rest])), 0",
        tests="tests/modeling/test_distribution.py",
        slow=True,
    ),
)
