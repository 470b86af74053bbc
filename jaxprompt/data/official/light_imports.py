"""Puts off what libraries import for functions that nothing here calls."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_LATER = (
    "pandas",  # of scikit-learn
    "pyglove",  # of seqio
    "rouge_score.rouge_scorer",  # of t5, and so are the next two
    "rouge_score.scoring",
    "sacrebleu",
    "tensorflow_text",  # of seqio
)
"""Modules that are loaded when something of them is first used."""

_NOT_NOW = ("keras",)
"""What TensorFlow imports for saved models alone, and does without where it fails."""


@contextlib.contextmanager
def light_imports() -> Iterator[None]:
    """Imports of `_LATER` wait until these are used, and those of `_NOT_NOW` fail.

    That is half of the time that TensorFlow, seqio and t5 take. Behind it, all can be
    imported and used as ever, `tf.keras` too.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in (*_LATER, *_NOT_NOW):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            later = importlib.util.LazyLoader(_AsPlainModule(spec.loader))
            spec.loader = later if fullname in _LATER else self
        return spec

    def exec_module(self, module: ModuleType) -> Any:
        raise ImportError(f"{module.__name__} is not imported now")


class _AsPlainModule(Loader):
    """Loads a module that was put off as if it had not been.

    From Python 3.12 on a module that is put off stays one until it is loaded whole:
    tensorflow_text, which deletes names of its own meanwhile, then recurses for ever.
    """

    def __init__(self, loader: Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        object.__setattr__(module, "__class__", ModuleType)
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
