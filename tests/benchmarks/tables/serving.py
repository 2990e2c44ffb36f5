"""What serving each family costs: disk, time to load, memory and latency of each signature.

    python -m tests.benchmarks.tables.serving
    python -m tests.benchmarks.tables.serving timesformer lxmert --calls 20 --threads 2

Models have the size of the published checkpoints, with random weights and small vocabularies,
which change nothing of what is measured. Each is exported in one process and loaded in another
that has TensorFlow alone, as a server does; there each signature answers its own warm-up request,
with a photo of 600 x 400 pixels in the place of each image and a sentence in the place of a text.
The latency is the median of several calls after a first one; the memory is what the process's
peak (VmHWM) grows by, when loading and then when answering.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.harness.environment import worker_env
from tests.benchmarks.harness.rounds import WorkerError
from tests.benchmarks.workers.measure import peak_memory, timed
from tests.support.paths import FIXTURES, ROOT

__all__ = ["FAMILIES", "main", "table"]

PHOTO = FIXTURES / "photos" / "coffee.jpg"
SENTENCE = b"This is an incomplete sentence where some words are missing: [MASK][MASK][MASK]."
MB = 1e6


def _timesformer(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import tfzoo

    config = tfzoo.TimesformerConfig(num_labels=400)
    model = tfzoo.TFTimesformerForVideoClassification(config)
    return model, tfzoo.VideoMAEImageProcessor(), {}


def _xclip(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import tfzoo

    tokenizer = _clip_tokenizer(folder)
    processor = tfzoo.XCLIPProcessor(tfzoo.VideoMAEImageProcessor(), tokenizer)
    labels = ["playing sports", "eating spaghetti", "a cat"]
    return tfzoo.TFXCLIPModel(tfzoo.XCLIPConfig()), processor, {"labels": labels}


def _owlv2(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import tfzoo

    model = tfzoo.TFOwlv2ForObjectDetection(tfzoo.Owlv2Config(vision_config={"image_size": 960}))
    tokenizer = _clip_tokenizer(folder, pad_token="!", model_max_length=16)
    processor = tfzoo.Owlv2Processor(tfzoo.Owlv2ImageProcessor(), tokenizer)
    return model, processor, {"queries": ["a cup", "a spoon"]}


def _clip_tokenizer(folder: Path, **settings: Any) -> Any:
    import tfzoo
    from tests.text.clip_files import write_vocabulary

    return tfzoo.CLIPTokenizerFast.from_pretrained(write_vocabulary(folder, **settings))


def _language(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import tfzoo
    from tests.models.perceiver.benchmark_mlm import BENCHMARKS

    config = tfzoo.PerceiverConfig(**BENCHMARKS[0].config)
    return tfzoo.TFPerceiverForMaskedLM(config), tfzoo.PerceiverTokenizer(), {}


def _photos(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import tfzoo
    from tests.models.perceiver.benchmark_fourier import BENCHMARKS

    config = tfzoo.PerceiverConfig(**{**BENCHMARKS[0].config, "num_labels": 1000})
    model = tfzoo.TFPerceiverForImageClassificationFourier(config)
    return model, tfzoo.PerceiverImageProcessor(), {}


def _flow(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import tfzoo
    from tests.models.perceiver.benchmark_flow import BENCHMARKS

    config = tfzoo.PerceiverConfig(**BENCHMARKS[0].config)
    return tfzoo.TFPerceiverForOpticalFlow(config), None, {}


def _lxmert(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import shutil

    import tfzoo
    from tests.support.lxmert_checkpoint import VOCABULARY

    folder.mkdir(parents=True)
    shutil.copy(VOCABULARY, folder / "vocab.txt")
    config = tfzoo.LxmertConfig(num_qa_labels=3129)
    tokenizer = tfzoo.LxmertTokenizerFast.from_pretrained(folder)
    names = [f"answer {i}" for i in range(3129)]
    return tfzoo.TFLxmertForQuestionAnswering(config), tokenizer, {"labels": names}


def _tvp(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    import tfzoo
    from tests.models.tvp.benchmark import BENCHMARKS
    from tests.models.tvp.image_cases import write_vocabulary

    config = tfzoo.TvpConfig(**BENCHMARKS[0].config)
    tokenizer = tfzoo.BertTokenizerFast.from_pretrained(write_vocabulary(folder))
    processor = tfzoo.TvpProcessor(tfzoo.TvpImageProcessor(), tokenizer)
    return tfzoo.TFTvpForVideoGrounding(config), processor, {}


FAMILIES = {
    "timesformer": _timesformer,
    "xclip": _xclip,
    "owlv2": _owlv2,
    "perceiver-language": _language,
    "perceiver-vision": _photos,
    "perceiver-flow": _flow,
    "lxmert": _lxmert,
    "tvp": _tvp,
}


def _export(name: str, folder: Path) -> dict[str, Any]:
    """Write a family's version; returns what that cost."""
    import tfzoo

    model, processor, options = FAMILIES[name](folder / "files")
    start = time.perf_counter()
    version = tfzoo.export_serving(model, processor, folder / name, **options)
    size = sum(file.stat().st_size for file in version.rglob("*") if file.is_file())
    return {"export_s": time.perf_counter() - start, "bytes": size}


def _serve(version: Path, calls: int, threads: int) -> dict[str, Any]:
    """Load a version and answer its warm-up requests."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    requests = _requests(version)
    tf.constant(0)
    bare = peak_memory()
    load, model = timed(lambda: tf.saved_model.load(str(version)))
    loaded = peak_memory()
    rows = []
    for name, inputs in sorted(requests.items()):
        answer = model.signatures[name]
        first, _ = timed(lambda: answer(**inputs))  # noqa: B023 - called at once
        again = [timed(lambda: answer(**inputs))[0] for _ in range(calls)]  # noqa: B023
        rows.append({"signature": name, "first_s": first, "call_s": statistics.median(again)})
    memory = {"load_bytes": loaded - bare, "peak_bytes": peak_memory() - bare}
    return {"load_s": load, **memory, "rows": rows}


def _requests(version: Path) -> dict[str, dict[str, Any]]:
    """The warm-up requests with real photos and texts, without that of the bare model."""
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    found = {}
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        for key, value in inputs.items():
            if value.dtype == object:
                content = SENTENCE if key == "text" else _photo()
                inputs[key] = np.full(value.shape, content, object)
        found[request.model_spec.signature_name] = {
            key: tf.constant(value) for key, value in inputs.items()
        }
    found.pop("serving_default")
    return found


def _photo() -> bytes:
    """A photo of 600 x 400 pixels as a JPEG file."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.open(PHOTO).convert("RGB").resize((600, 400)).save(file, "JPEG")
    return file.getvalue()


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Figures of each family as Markdown, a row for each signature."""
    lines = [
        "| family | signature | on disk, MB | load, s | loaded, MB | at most, MB | first, ms "
        "| then, ms |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in figures.items():
        shared = [row["bytes"] / MB, row["load_s"], row["load_bytes"] / MB, row["peak_bytes"] / MB]
        cells = f"{shared[0]:.0f} | {shared[1]:.1f} | {shared[2]:.0f} | {shared[3]:.0f}"
        for each in row["rows"]:
            latency = f"{1e3 * each['first_s']:.0f} | {1e3 * each['call_s']:.0f}"
            lines.append(f"| {name} | `{each['signature']}` | {cells} | {latency} |")
            name, cells = "", "| | |"
    return "\n".join(lines)


def _in_own_process(args: argparse.Namespace, *job: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.tables.serving", "--job", *job]
    command += ["--calls", str(args.calls), "--threads", str(args.threads)]
    env = worker_env(ROOT, args.threads)
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _measured(name: str, args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        written = _in_own_process(args, "export", name, folder)
        return {**written, **_in_own_process(args, "serve", str(Path(folder) / name / "1"))}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every family and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=list(FAMILIES), help=", ".join(FAMILIES))
    parser.add_argument("--calls", type=int, default=5, help="timed calls of each signature")
    parser.add_argument("--threads", type=int, default=2, help="threads of an operation")
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if unknown := set(args.families) - set(FAMILIES):
        parser.error(f"no family {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    if args.job is None:
        figures = {}
        for name in args.families:
            print(f"measuring {name}", file=sys.stderr, flush=True)
            figures[name] = _measured(name, args)
        print(table(figures))
    elif args.job[0] == "export":
        print(json.dumps(_export(args.job[1], Path(args.job[2]))))
    else:
        print(json.dumps(_serve(Path(args.job[1]), args.calls, args.threads)))


if __name__ == "__main__":
    main()
