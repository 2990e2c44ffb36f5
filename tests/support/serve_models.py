"""Models for a real TensorFlow Serving: `python -m tests.support.serve_models DIR`.

Writes a small model of each head into DIR, and DIR/models.config which names them all. Then::

    MODELS=DIR docker compose -f deploy/compose.yaml up -d
    TF_SERVING_URL=http://localhost:8501 TF_SERVING_MODELS=DIR \\
        python -m pytest -m tf_serving tests/export/test_tf_serving.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.support.served import SERVED, export_head

_MODEL = """\
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
"""


def main(target: Path) -> None:
    """Write the models that are not there yet, and the list of all."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SERVED:
        if (target / name).exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            export_head(name, Path(folder))
            shutil.move(Path(folder) / name, target / name)
        print(target / name)
    listed = "".join(_MODEL.format(name=name) for name in SERVED)
    (target / "models.config").write_text(f"model_config_list {{\n{listed}}}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
