"""What a GGUF file says of its model, each value checked, under plain names."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxprompt.screen.quoting import quoted, quoted_path

_MISSING: Any = object()


@dataclasses.dataclass(frozen=True)
class Facts:
    """The metadata of a GGUF file, and the shapes of its tensors.

    Attributes:
        path: The file, for error messages.
        metadata: Key -> value, as the file has it.
        shapes: The shape of each tensor, rows first, by the file's names.
        divisors: What each rotary frequency is divided by; None where the file does
            not say.
        asked: Names that were asked for so far.
    """

    path: Path
    metadata: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    divisors: tuple[float, ...] | None = None
    asked: set[str] = dataclasses.field(default_factory=set, compare=False)

    @property
    def architecture(self) -> str:
        """What the keys of its sizes begin with."""
        return self.metadata["general.architecture"]

    def size(self, name: str, default: Any = _MISSING) -> int:
        """Returns a whole number of the architecture, as "block_count".

        A list of one number for each layer stands for the number, where all are equal.

        Args:
            name: Its key behind the name of the architecture.
            default: What it is where the file does not say.

        Raises:
            ValueError: If the file does not say and there is no default, or it is no
                whole number.
        """
        value: Any = self._value(name, default)
        if isinstance(value, np.ndarray):
            if len(set(value.tolist())) > 1:
                raise self.unsound(
                    name,
                    "differs between layers, and only models of equal layers are read",
                )
            value = value[0].item() if len(value) else None
        if value is not default and type(value) is not int:
            raise self.unsound(name, f"is {quoted(value)}, no whole number")
        return value

    def real(self, name: str, default: Any = _MISSING) -> float:
        """Returns a number of the architecture, as `size`."""
        value = self._value(name, default)
        if value is default:
            return value
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.unsound(name, f"is {quoted(value)}, no number")
        return _shortest(value)

    def text(self, name: str, default: str) -> str:
        """Returns a text of the architecture, as `size`."""
        value = self._value(name, default)
        if not isinstance(value, str):
            raise self.unsound(name, f"is {quoted(value)}, no text")
        return value

    def token(self, name: str) -> int | None:
        """Returns the id of a special token, as "bos"; None where there is none."""
        key = f"tokenizer.ggml.{name}_token_id"
        value = self.metadata.get(key)
        if value is not None and type(value) is not int:
            raise ValueError(
                f"{quoted_path(self.path)}: {key} is {quoted(value)}, no whole number"
            )
        return value

    def unsound(self, name: str, what: str) -> ValueError:
        """Returns an error that names a key of the architecture."""
        return ValueError(
            f"{quoted_path(self.path)}: {self.architecture}.{name} {what}"
        )

    def check_unasked(self, changing: Mapping[str, Sequence[float]]) -> None:
        """Refuses what a model of another form computes, and nothing here reads.

        Args:
            changing: Name -> the values that change nothing.

        Raises:
            ValueError: If the file says another value of a name not asked for.
        """
        for name in [name for name in changing if name not in self.asked]:
            value = self._value(name, None)
            values = np.ravel([] if value is None else value).tolist()
            if all(one in changing[name] for one in values):
                continue
            shown = _shortest(value) if isinstance(value, float) else value
            raise self.unsound(
                name,
                f"is {quoted(shown)}, but {self.architecture} models are read without "
                "it: this is a model of another kind, which cannot be read",
            )

    def _value(self, name: str, default: Any) -> Any:
        self.asked.add(name)
        value = self.metadata.get(f"{self.architecture}.{name}", default)
        if value is _MISSING:
            raise self.unsound(name, "is absent: is this a whole model?")
        return value


def _shortest(value: float) -> float:
    """Returns the number that was meant: float32 1e-05 is stored as 9.9999997e-06."""
    return float(str(np.float32(value)))
