"""What PyTorch says of a small model, as a file, and as a Hugging Face folder."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import safetensors.numpy

from jaxprompt.models.config import Config
from jaxprompt.models.families import family_of
from jaxprompt.models.weights.checkpoint import shapes_of


def tensor_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor that a Hugging Face folder of such a model holds."""
    sources = family_of(config).hugging_face.layout(config, None).sources
    shapes = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes_of(config)):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        stored = sources[name].stored(leaf.shape)
        shapes |= dict.fromkeys(sources[name].names, stored)
    return shapes


GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@dataclasses.dataclass(frozen=True)
class Golden:
    """One file of tools/make_golden*.py, its weights also as a Hugging Face folder."""

    folder: Path
    arrays: Mapping[str, np.ndarray]

    def weights(self) -> dict[str, np.ndarray]:
        return {
            name.removeprefix("weights/"): array
            for name, array in self.arrays.items()
            if name.startswith("weights/")
        }

    def config(self) -> dict:
        return json.loads(str(self.arrays["config"]))

    def write(
        self,
        weights: Mapping[str, np.ndarray] | None = None,
        config: Mapping | None = None,
    ) -> Path:
        """Writes the folder, with other weights or another config where given."""
        self.folder.mkdir(exist_ok=True)
        text = json.dumps(self.config() if config is None else config)
        (self.folder / "config.json").write_text(text)
        path = self.folder / "model.safetensors"
        tensors = dict(self.weights() if weights is None else weights)
        safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
        return self.folder
