"""Every private Keras hook that tfzoo relies on, and every repair of a Keras release.

Keras 3.10 (TensorFlow 2.19) to 3.15 (TensorFlow 2.21) are supported. For each name used here
`tests/core/test_keras_compat.py` has a test, so that a release that moves one is noticed at once.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from tfzoo.core.types import ModelMixin, Tensor

__all__ = [
    "ModelRepairs",
    "adopt",
    "after",
    "as_written",
    "attributes",
    "build_filled",
    "build_untraced",
    "collected_once",
    "concrete",
    "default_policy",
    "gathered",
    "has_compiled_loss",
    "has_compiled_metrics",
    "known_shapes",
    "may_write",
    "own_variables",
    "register_pytree",
    "replace_tracked",
    "replicas",
    "say",
    "scalar_loss",
    "set_trainable",
    "summed",
    "tensorflow",
    "unscaled",
    "whole_file",
]

T = TypeVar("T")


def _require_keras_3() -> None:
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in {"1", "true"}:
        raise ImportError(
            "tfzoo needs Keras 3, but the environment variable TF_USE_LEGACY_KERAS="
            f"{os.environ['TF_USE_LEGACY_KERAS']} makes TensorFlow use Keras 2 (tf_keras). "
            "Unset it and start Python again."
        )
    import keras

    version = tuple(int(part) for part in keras.__version__.split(".")[:2])
    if version < (3, 10):
        raise ImportError(
            f"tfzoo needs Keras 3.10 or newer, found {keras.__version__}: "
            "pip install --upgrade 'keras>=3.10'."
        )


_require_keras_3()

import keras  # noqa: E402
import optree  # noqa: E402
from keras.src.backend.common import global_state  # noqa: E402


def tensorflow() -> ModuleType | None:
    """The TensorFlow module where it is Keras's backend, else None.

    Keras has imported it by then; taking it from there keeps models independent of the backend.
    """
    return sys.modules["tensorflow"] if keras.backend.backend() == "tensorflow" else None


# ---- files
def whole_file(store: Any) -> Any:
    """The open HDF5 file in which a model is the root, from what `load_own_variables` is given.

    Args:
        store: Where Keras reads from.

    Returns:
        The file; None inside of another model, and where the arrays lie in several files.
    """
    is_root = getattr(store, "_h5_entry_path", None) == ""
    return store.h5_file if is_root and not hasattr(store, "sharding_config") else None


def may_write(path: str | os.PathLike[str], overwrite: bool) -> bool:
    """Whether a file may be written; one that exists and is not to be overwritten, Keras asks."""
    from keras.src.utils.io_utils import ask_to_proceed_with_overwrite

    return overwrite or not os.path.exists(path) or ask_to_proceed_with_overwrite(str(path))


def say(text: str) -> None:
    """Print a line as Keras does: not where `keras.config.disable_interactive_logging` was called.

    Args:
        text: The line.
    """
    from keras.src.utils.io_utils import print_msg

    print_msg(text)


def as_written(cls: type[T]) -> type[T]:
    """Class decorator: `tf.function` takes calls of instances as they are written.

    AutoGraph would first rewrite the source of everything that a call runs, to turn Python's `if`
    into TensorFlow's. Keras's layers do without, as `fit` does, and half the time of a trace went
    there. Callable objects that it must leave alone are marked by an attribute.
    """
    tf = tensorflow()
    if tf is not None:
        marked: Any = cls
        marked.__call__ = tf.autograph.experimental.do_not_convert(marked.__call__)
        marked.autograph_info__ = {}
    return cls


# ---- trees
def register_pytree(cls: type, flatten: Callable, unflatten: Callable) -> None:
    """Let `keras.tree` see into instances of exactly `cls`.

    Keras offers no public way; it uses optree under the namespace "keras", the backends' own
    registries on JAX and PyTorch.

    Args:
        cls: The class to register.
        flatten: Instance -> (children, keys).
        unflatten: (keys, children) -> instance.
    """
    try:
        optree.register_pytree_node(
            cls, lambda o: (*flatten(o), flatten(o)[1]), unflatten, namespace="keras"
        )
    except ValueError:  # the module was loaded twice
        return
    backend = keras.backend.backend()
    if backend == "jax":
        tree_util = sys.modules["jax"].tree_util
        tree_util.register_pytree_node(cls, flatten, unflatten)
    elif backend == "torch":
        pytree = sys.modules["torch"].utils._pytree
        pytree.register_pytree_node(cls, flatten, lambda ch, keys: unflatten(keys, ch))


# ---- construction
@contextmanager
def default_policy(policy: Any) -> Iterator[None]:
    """Make `policy` the default dtype policy: a model's `dtype=` does not reach its sublayers."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


def build_filled(make: Callable[[], T], values: Callable[[T], list[tuple[Any, Callable]]]) -> T:
    """Construct a model whose variables take their *first* value from elsewhere.

    Inside a `StatelessScope` Keras creates variables without values and initialises them when the
    scope ends. Swapping the initialisers in between saves the random numbers that would be
    overwritten, and their memory. Where that fails, no variable gets a value: a config may name
    sizes that fit into no memory, of which only the comparison with the checkpoint tells.

    Args:
        make: Constructs the model, with all variables.
        values: Model -> pairs of variable and initialiser (shape, dtype); variables that it leaves
            out keep their own initialiser. Those of layers that were built before are assigned.
    """
    present: list[tuple[Any, Callable]] = []
    with keras.StatelessScope():
        try:
            model = make()
            for variable, initializer in values(model):
                if variable._value is None:
                    variable._initializer = initializer
                else:
                    present.append((variable, initializer))
        except BaseException:
            global_state.set_global_attribute("uninitialized_variables", [])
            raise
    for variable, initializer in present:
        variable.assign(initializer(variable.shape, variable.dtype))
    return model


def own_variables(layer: keras.layers.Layer) -> list[Any]:
    """The weights that `layer` holds itself, not those of its sublayers or of its seeds."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    return [v for v in own if "seed_generator" not in v.path]


def attributes(layer: keras.layers.Layer) -> dict[str, Any]:
    """The public attributes of `layer` itself. On PyTorch sublayers hide in `_modules`."""
    if isinstance(layer, keras.Sequential):
        return {"layers": layer.layers}
    own = {**vars(layer).get("_modules", {}), **vars(layer)}
    return {name: value for name, value in own.items() if not name.startswith("_")}


def replace_tracked(owner: keras.layers.Layer, name: str, value: Any) -> None:
    """Put another sublayer or variable in the place of an attribute of a built layer.

    Keras closes a layer's tracking when it is built, and would keep the old one's weights.

    Args:
        owner: The layer.
        name: The attribute, which holds a layer or a variable.
        value: What takes its place.
    """
    tracker = owner._tracker
    was_locked = tracker.locked
    tracker.unlock()
    try:
        tracker.untrack(getattr(owner, name))
        setattr(owner, name, value)
    finally:
        if was_locked:
            tracker.lock()


def adopt(array: np.ndarray) -> Tensor:
    """A tensor that takes over the memory of an array, which must not change any more.

    On TensorFlow without a copy, by DLPack: `convert_to_tensor` always copies, and touching new
    memory costs more than reading the file.

    Args:
        array: An array whose address is not a multiple of 64 bytes is copied: TensorFlow's
            kernels would end the process.
    """
    tf = tensorflow()
    if tf is None or array.ctypes.data % 64 or not array.flags.carray:
        return keras.ops.convert_to_tensor(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def concrete(x: Tensor | None) -> np.ndarray | None:
    """The values of `x`, or None where it is a symbol of a graph that is being traced."""
    if isinstance(x, keras.KerasTensor) or x is None:
        return None
    try:
        return np.asarray(x)
    except Exception:  # each backend has its own error for "no value yet"
        return None


def after(earlier: Sequence[Tensor], x: Tensor) -> Tensor:
    """`x`, used only when the tensors `earlier` are there.

    A graph of TensorFlow computes whatever it can: of ten blocks of attention it would begin all,
    and hold the scores of all at once. Eager calls and compilers keep the order anyway.

    Args:
        earlier: Tensors that are computed first.
        x: The tensor to wait with.
    """
    tf = tensorflow()
    if tf is None or not earlier or tf.executing_eagerly():
        return x
    with tf.control_dependencies(earlier):
        return tf.identity(x)


# ---- summaries
@contextmanager
def known_shapes(model: keras.Model, run: Callable[[], Any]) -> Iterator[None]:
    """Let `model.summary` show the shape of each layer's first output.

    Keras asks a layer for its shapes by what its `build` was given, which layers of ours know from
    their configuration instead.

    Args:
        model: The model.
        run: Calls it with symbols; its axes of unknown size stay unknown.
    """
    found: dict[keras.layers.Layer, list[tuple[int | None, ...]]] = {}

    def watched(layer: keras.layers.Layer) -> Callable[..., Any]:
        call = layer.call

        def watch(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            first = next((x for x in keras.tree.flatten(outputs) if hasattr(x, "shape")), None)
            if first is not None:
                found.setdefault(layer, []).append(tuple(first.shape))
            return outputs

        return watch

    layers = [layer for layer in model._flatten_layers() if layer is not model]
    with _replaced(layers, lambda layer: {"call": watched(layer)}):
        run()

    def shown(layer: keras.layers.Layer) -> dict[str, Any]:
        # Other backends try two sizes for each unknown one.
        sizes = zip(*found[layer], strict=False)
        shape = tuple(size[0] if len(set(size)) == 1 else None for size in sizes)
        return {"_build_shapes_dict": {"shape": shape}, "compute_output_shape": lambda shape: shape}

    with _replaced(list(found), shown):
        yield


@contextmanager
def _replaced(
    layers: Sequence[keras.layers.Layer], attributes: Callable[[keras.layers.Layer], dict[str, Any]]
) -> Iterator[None]:
    """Give each layer attributes of its own for a while, past Keras's tracking."""
    before = []
    try:
        for layer in layers:
            for name, value in attributes(layer).items():
                before.append((vars(layer), name, vars(layer).get(name, _NONE)))
                vars(layer)[name] = value
        yield
    finally:
        for own, name, value in before:
            if value is _NONE:
                del own[name]
            else:
                own[name] = value


_NONE = object()  # stands for no attribute


# ---- training
def scalar_loss(model: keras.Model, loss: Tensor) -> Tensor:
    """Scale an additional loss for `tf.distribute` as Keras does for its own."""
    return model._aggregate_additional_loss(loss)


def unscaled(loss: Tensor) -> Tensor:
    """A loss as it is to be shown: under `tf.distribute` losses are divided by the replicas."""
    tf = tensorflow()
    return loss if tf is None else loss * tf.distribute.get_strategy().num_replicas_in_sync


def replicas() -> int:
    """How many replicas of `tf.distribute` run what calls this, each on its share; else 1."""
    tf = tensorflow()
    context = None if tf is None else tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def summed(x: Tensor) -> Tensor:
    """The sum of all replicas' `x`, with its gradient."""
    if replicas() == 1:
        return x
    tf = tensorflow()
    assert tf is not None  # no other backend has replicas
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, x)


def gathered(x: Tensor) -> tuple[Tensor, Tensor | int]:
    """The rows of all replicas' `x`, with their gradient, and the index where this one's begin.

    It sums arrays padded with zeros, so that gradients, batch norms and this need one kind of
    exchange.

    Args:
        x: (B, ...); replicas may have different B.

    Returns:
        (sum of all B, ...) and a scalar; on one device `x` itself and 0.
    """
    if replicas() == 1:
        return x, 0
    tf = tensorflow()
    assert tf is not None  # no other backend has replicas
    context = tf.distribute.get_replica_context()
    place, count = context.replica_id_in_sync_group, tf.cast(tf.shape(x)[0], "float32")
    sizes = tf.cast(summed(count * tf.one_hot(place, replicas())), "int32")
    first, after = tf.reduce_sum(sizes[:place]), tf.reduce_sum(sizes[place + 1 :])
    rest = [(0, 0)] * (len(x.shape) - 1)
    return summed(tf.pad(x, [(first, after), *rest])), first


@contextmanager
def collected_once() -> Iterator[None]:
    """Collect garbage once at the end, and not for each variable that a layer drops.

    `keras.layers.Layer.__delattr__` collects each time, which takes half a second for each of a
    model's layers in a process with a million objects. Meanwhile these are set aside.
    """
    if gc.get_freeze_count():  # the caller has frozen objects for reasons of its own
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()


def set_trainable(value: bool, *layers: keras.layers.Layer) -> None:
    """Let layers and everything inside them train, or not.

    On TensorFlow `layer.trainable = value` has no effect where the layer has that value already, so
    that sublayers and weights which were set on their own would stay as they are.

    Args:
        value: Whether they train.
        *layers: The layers.
    """
    for layer in layers:
        layer.trainable = not value
        layer.trainable = value


def build_untraced(part: Any, *structures: Any) -> None:
    """Build a model's compiled loss or metrics outside of the step that is being traced.

    TensorFlow traces a step that makes variables a second time, which takes seconds. In a thread
    of its own nothing is being traced.

    Args:
        part: What `compile` made; None where nothing was given to it.
        *structures: Labels and predictions, of which only the shapes count.
    """
    tf = tensorflow()
    if part is None or part.built or tf is None or tf.executing_eagerly():
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(part.build, *structures).result()


def has_compiled_loss(model: keras.Model) -> bool:
    """Whether a loss was given to `compile`."""
    return model._compile_loss is not None


def has_compiled_metrics(model: keras.Model) -> bool:
    """Whether metrics were given to `compile`."""
    return model._compile_metrics is not None


class ModelRepairs(ModelMixin):
    """Repairs of `fit` and `evaluate` under `tf.distribute`, and of exports.

    To learn the shapes, Keras averages the first batches of all replicas, in which token ids become
    floats; here one replica's batch is taken. Under `MultiWorkerMirroredStrategy` it reduces such
    batches and scalar logs over an axis that they do not have (Keras issue 20585).
    """

    @property
    def _default_save_signature(self) -> None:
        """Keras would trace a float32 guess here, which fits none of our inputs."""
        return

    def _vectors(self, logs: Any) -> Any:
        tf, strategy = tensorflow(), getattr(self, "_distribute_strategy", None)
        if tf is None or not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return logs
        return keras.tree.map_structure(lambda value: keras.ops.reshape(value, (1,)), logs)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is None or getattr(self, "_distribute_strategy", None) is None:
            return super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
        strategy, tf = self.distribute_strategy, tensorflow()
        assert tf is not None  # no other backend has strategies
        local = strategy.experimental_local_results
        steps = next(iter(iterator))[-1]  # Keras 3.10 gives two things here, 3.15 three
        data_batch = tf.nest.map_structure(lambda value: local(value)[0], next(steps))
        with strategy.scope():
            return self._symbolic_build(data_batch=data_batch)

    def make_train_function(self, force: bool = False) -> Any:
        # Keras makes the optimizer's variables in the first step, and so traces that step twice.
        # Layers of a user's own may get their weights there.
        is_whole = all(layer.built for layer in self._flatten_layers())
        if is_whole and self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        build_untraced(self._compile_loss, y, y_pred)
        return super().compute_loss(x, y, y_pred, *args, **kwargs)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        build_untraced(self._compile_metrics, y, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        return self._vectors(super().train_step(*args, **kwargs))

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        return self._vectors(super().test_step(*args, **kwargs))
