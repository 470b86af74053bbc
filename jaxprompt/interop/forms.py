"""The forms that a prompt can be read from and written to, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxprompt.interop import (
    cartridge,
    google,
    llama_cpp,
    peft,
    t5x,
    tensorrt_llm,
    vllm,
)
from jaxprompt.interop.exchange import Given, Taken


class Form(NamedTuple):
    """How another program keeps a prompt.

    Attributes:
        read: Its file or folder -> its prompts; ValueError or FileNotFoundError if it
            is not such a prompt.
        write: Writes prompts with what of their provenance the form can hold, at once;
            returns what was rounded. None where that takes the model.
        dtypes: What it can store, the usual one first.
        folder: Whether it is a folder, not a file.
        several: Whether it holds one or more prompts, not one alone.
        names_backbone: Whether it says which model it is for.
    """

    read: Callable[[Path], Taken]
    write: Callable[[Path, Given], tuple[str, ...]] | None
    dtypes: tuple[str, ...] = ("float32",)
    folder: bool = False
    several: bool = False
    names_backbone: bool = False


_ALL = ("float32", "bfloat16", "float16")

FORMS: dict[str, Form] = {
    "google": Form(google.read, google.write),
    "t5x": Form(t5x.read, t5x.write, folder=True, names_backbone=True),
    "peft": Form(peft.read, peft.write, _ALL, folder=True, names_backbone=True),
    # A .npy file has no bfloat16.
    "tensorrt_llm": Form(
        tensorrt_llm.read, tensorrt_llm.write, ("float32", "float16"), several=True
    ),
    "vllm": Form(vllm.read, vllm.write, _ALL),
    "llama_cpp": Form(llama_cpp.read, llama_cpp.write),
    "cartridge": Form(cartridge.read, None),
}


def find_form(name: str) -> Form:
    """Returns the form of this name; ValueError if there is none."""
    if name not in FORMS:
        raise ValueError(
            f"unknown form {name!r}: use one of {list(FORMS)}; stablehlo, the whole "
            "model, and peft_prefix can only be exported"
        )
    return FORMS[name]
