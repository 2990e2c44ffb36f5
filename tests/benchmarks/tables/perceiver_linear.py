"""The paper's claim: what a Perceiver costs grows linearly with the number of its inputs.

    python -m tests.benchmarks.tables.perceiver_linear
    python -m tests.benchmarks.tables.perceiver_linear 4096 131072 --calls 5

512 latents of width 512 read so many inputs of width 256 and pass through six layers, which cost
the same for any input: a linear cost is a constant and so much for each further input. The table
gives both, from the straight line through all rows that minimises relative errors, and how far
the rows lie from it.

Each number of inputs has a process of its own. The call's time is the fastest of several after a
first one; the memory is what the process's peak (VmHWM) grows by during the calls, when the inputs
and the weights are in memory already.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from tests.benchmarks.harness.environment import worker_env
from tests.benchmarks.harness.rounds import WorkerError
from tests.benchmarks.workers.measure import peak_memory, timed
from tests.support.paths import ROOT

__all__ = ["fitted", "main", "table"]

SIZES = tuple(2**power for power in range(11, 17))  # 2k to 64k
WIDTH = 256
CONFIG = {
    "num_latents": 512,
    "d_latents": 512,
    "d_model": WIDTH,
    "num_self_attends_per_block": 6,
    "num_cross_attention_heads": 1,
}
MB = 1e6


def fitted(sizes: Sequence[int], costs: Sequence[float]) -> tuple[float, float, float]:
    """The line that costs lie on: start, slope, and the largest relative distance from it.

    Example:
        >>> start, slope, distance = fitted([1, 2, 4], [3.0, 4.0, 6.0])
        >>> round(start, 6), round(slope, 6), round(distance, 6)
        (2.0, 1.0, 0.0)
    """
    x, y = np.asarray(sizes, "float64"), np.asarray(costs, "float64")
    rows = np.stack([1 / y, x / y], axis=1)  # each row's error in parts of its own cost
    (start, slope), *_ = np.linalg.lstsq(rows, np.ones(len(x)), rcond=None)
    return float(start), float(slope), float(np.abs(rows @ [start, slope] - 1).max())


def table(figures: Sequence[dict[str, float]]) -> str:
    """Figures of each size, and the lines through them, as Markdown."""
    lines = [
        "| inputs | call, ms | ms for each 1,024 inputs | memory, MB | KB for each input |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in figures:
        size, ms, memory = row["inputs"], 1e3 * row["call_s"], row["bytes"]
        lines.append(
            f"| {size:,} | {ms:.0f} | {1024 * ms / size:.2f} | {memory / MB:.0f} "
            f"| {memory / size / 1e3:.2f} |"
        )
    sizes = [row["inputs"] for row in figures]
    for name, unit, key, scale in (("time", "ms", "call_s", 1e3), ("memory", "MB", "bytes", 1e-6)):
        start, slope, distance = fitted(sizes, [scale * row[key] for row in figures])
        lines.append(
            f"\n{name}: {start:.1f} {unit} + {1024 * slope:.2f} {unit} for each 1,024 inputs; "
            f"no row lies further than {distance:.0%} from it"
        )
    return "\n".join(lines)


def _measure(size: int, calls: int, threads: int) -> dict[str, float]:
    """Figures of one size; has to be the first thing that a process does with TensorFlow."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    import tfzoo

    model = tfzoo.TFPerceiverModel(tfzoo.PerceiverConfig(**CONFIG))
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.standard_normal((1, size, WIDTH), dtype="float32"))
    call = tf.function(lambda tokens: model(tokens).last_hidden_state)
    bare = peak_memory()
    call(inputs)
    seconds = [timed(lambda: call(inputs))[0] for _ in range(calls)]
    return {"inputs": size, "call_s": min(seconds), "bytes": peak_memory() - bare}


def _in_own_process(size: int, args: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.tables.perceiver_linear", "--one"]
    command += [str(size), "--calls", str(args.calls), "--threads", str(args.threads)]
    env = worker_env(ROOT, args.threads)
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    return json.loads(done.stdout)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", type=int, nargs="*", default=list(SIZES), help="inputs")
    parser.add_argument("--calls", type=int, default=5, help="timed calls of each size")
    parser.add_argument("--threads", type=int, default=2, help="threads of an operation")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.one:
        print(json.dumps(_measure(args.sizes[0], args.calls, args.threads)))
        return
    print(table([_in_own_process(size, args) for size in args.sizes]))


if __name__ == "__main__":
    main()
