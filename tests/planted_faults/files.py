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
    Fault(
        name="video-moments-by-the-duration",
        file="tfzoo/tasks/video_grounding.py",
        old="parts = clip.seconds_of(logits) / clip.duration",
        new="parts = logits",
        tests="tests/tasks/test_pipeline.py",
    ),
    Fault(
        name="video-labels-by-the-duration",
        file="tfzoo/data/moments.py",
        old="span = clip.parts_at([moment.start, moment.end]) * clip.duration",
        new="span = np.array([moment.start, moment.end])",
        tests="tests/data/test_moments.py",
    ),
    Fault(
        name="video-cover-is-a-stream",
        file="tfzoo/io/video_reader.py",
        old="[s for s in container.streams.video if not s.disposition & Disposition.attached_pic]",
        new="list(container.streams.video)",
        tests="tests/io/test_video_files.py",
    ),
    Fault(
        name="replacing-rights-lost",
        file="tfzoo/core/replacing.py",
        old="        _keep_rights(made, target)",
        new="        pass",
        tests="tests/core/test_replacing.py",
    ),
    Fault(
        name="reading-mixes-versions",
        file="tfzoo/core/unmixed.py",
        old="return all(look(path) == seen for look, path, seen in self._seen)",
        new="return True",
        tests="tests/core/test_unmixed.py",
    ),
    Fault(
        name="tokens-named-text-cut-to-nothing",
        file="tfzoo/text/lengths.py",
        old='least = int(self.truncation != "longest_first")',
        new="least = 0",
        tests="tests/text/test_tokenizers.py",
    ),
    Fault(
        name="names-rows-of-any-component-lost",
        file="weights_convert/rules.py",
        old='if row[0][0] in (first, "*")]',
        new="if row[0][0] == first]",
        tests="tests/weights_convert/test_rules.py",
    ),
    Fault(
        name="layers-two-unknown-sizes-inferred",
        file="tfzoo/layers/linear.py",
        old="if sizes.count(None) == 1 and 0 not in sizes:",
        new="if 0 not in sizes:",
        tests="tests/models/lxmert/test_inputs.py",
    ),
)
