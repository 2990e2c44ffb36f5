"""What a model writes for other processes: Keras's files and SavedModels, of every family.

One process reads all of them, for each costs seconds. By default a class of each family, of two
families where graphs are traced; the others are slow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.cases import Case
from tests.support.compare import assert_same
from tests.support.family_checks import checks_of, first_of_each_class
from tests.support.processes import run_python
from tfzoo.registry import families

CLASSES = {family.name: first_of_each_class(checks_of(family.name).cases) for family in families()}


def first_of(*names: str, more: int | None = None) -> pytest.MarkDecorator:
    """The test runs on a class of each of these families, and slowly on some more of each."""
    first = {name: CLASSES[name][:1] for name in names}
    others = {name: cases[name in names :][:more] for name, cases in CLASSES.items()}
    slow = pytest.param(others, id="others", marks=pytest.mark.slow)
    return pytest.mark.parametrize("chosen", [pytest.param(first, id="first"), slow])


_RELOAD = """
import sys, numpy as np, keras, tfzoo
root, *names = sys.argv[1:]
for i, name in enumerate(names):
    folder = f"{root}/{i}"
    inputs = dict(np.load(folder + "/inputs.npz"))
    again = tfzoo.load_model(folder + "/m.keras")
    cls = getattr(tfzoo, name)
    whole = keras.models.load_model(folder + "/m.keras")
    assert type(whole) is type(again) is cls and type(whole.config) is cls.config_class
    bare = cls(whole.config)
    bare.load_weights(folder + "/m.weights.h5")
    for k, model in enumerate((whole, again, bare)):
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


@first_of(*CLASSES)
def test_files_reload(chosen: dict[str, list[Case]], tmp_path: Path) -> None:
    cases = [case for of_family in chosen.values() for case in of_family]
    for i, case in enumerate(cases):
        folder, model = tmp_path / str(i), case.load()
        folder.mkdir()
        np.savez(folder / "inputs.npz", **case.make_inputs(with_labels=False))
        model.save(folder / "m.keras")
        model.save_weights(folder / "m.weights.h5")
    run_python(_RELOAD, tmp_path, *(case.model for case in cases))
    for i, case in enumerate(cases):
        expected = {"": case.recorded("outputs")[case.tf_class.main_output]}
        for k in range(3):
            assert_same(np.load(tmp_path / f"{i}/reloaded{k}.npy"), expected, what=case.name)


@first_of("timesformer", "tvp", more=1)
def test_saved_models_run_with_tensorflow_alone(
    chosen: dict[str, list[Case]], tmp_path: Path
) -> None:
    cases = [(name, case) for name, of_family in chosen.items() for case in of_family]
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
