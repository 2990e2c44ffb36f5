"""What other processes read: Keras's files and SavedModels.

`FamilyChecks` reads Keras's files in the process that wrote them; tests/export/test_openvino.py has
SavedModels of all families.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.compare import assert_same
from tests.support.family_checks import checks_of, first_of_each_whole_class
from tests.support.processes import run_python
from tfzoo.registry import families

pytestmark = pytest.mark.slow
CLASSES = {
    family.name: first_of_each_whole_class(checks_of(family.name).cases) for family in families()
}
_RELOAD = """
import sys, numpy as np, keras, tfzoo
root, *names = sys.argv[1:]
for i, name in enumerate(names):
    folder = f"{root}/{i}"
    inputs = dict(np.load(folder + "/inputs.npz"))
    if i % 2:
        cls = getattr(tfzoo, name)
        whole = keras.models.load_model(folder + "/m.keras")
    else:  # which imports the class
        whole = tfzoo.load_model(folder + "/m.keras")
        cls = getattr(tfzoo, name)
    assert type(whole) is cls and type(whole.config) is cls.config_class
    bare = cls(whole.config)
    bare.load_weights(folder + "/m.weights.h5")
    for k, model in enumerate((whole, bare)):
        np.save(f"{folder}/reloaded{k}.npy", np.asarray(model(inputs)[model.main_output]))
"""

_SERVE = """
import sys
sys.modules["keras"] = sys.modules["tfzoo"] = None  # neither may be imported
import numpy as np, tensorflow as tf
for folder in sys.argv[1:]:
    signature = tf.saved_model.load(folder + "/saved").signatures["serving_default"]
    for copies in (1, 3):
        inputs = np.load(folder + "/inputs.npz")
        tensors = {k: tf.constant(np.concatenate([v] * copies)) for k, v in inputs.items()}
        outputs = signature(**tensors)
        np.savez(f"{folder}/served{copies}.npz", **{k: v.numpy() for k, v in outputs.items()})
"""


def test_files_reload(tmp_path: Path) -> None:
    cases = [case for of_family in CLASSES.values() for case in of_family]
    for i, case in enumerate(cases):
        folder, model = tmp_path / str(i), case.load()
        folder.mkdir()
        np.savez(folder / "inputs.npz", **case.make_inputs(with_labels=False))
        model.save(folder / "m.keras")
        model.save_weights(folder / "m.weights.h5")
    run_python(_RELOAD, tmp_path, *(case.model for case in cases))
    for i, case in enumerate(cases):
        expected = {"": case.recorded("outputs")[case.tf_class.main_output]}
        for k in range(2):
            assert_same(np.load(tmp_path / f"{i}/reloaded{k}.npy"), expected, what=case.name)


def test_saved_models_run_with_tensorflow_alone(tmp_path: Path) -> None:
    cases = [(name, CLASSES[name][0]) for name in ("timesformer", "tvp")]
    for i, (_, case) in enumerate(cases):
        folder = tmp_path / str(i)
        case.load().export(folder / "saved", verbose=False)
        np.savez(folder / "inputs.npz", **case.make_inputs(with_labels=False))
    run_python(_SERVE, *(tmp_path / str(i) for i in range(len(cases))))
    for i, (name, case) in enumerate(cases):
        expected = case.recorded("outputs")[case.tf_class.main_output]
        for copies in (1, 3):
            with np.load(tmp_path / f"{i}/served{copies}.npz") as served:
                have = served[case.tf_class.main_output]
            repeated = checks_of(name).repeated(case, expected, copies)
            assert_same(have, {"": repeated}, what=case.name)
