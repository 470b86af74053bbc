"""The forms that a prompt can be read from and written to, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxprompt.interop import google
from jaxprompt.prompts.file import Provenance
from jaxprompt.prompts.prompt import Prompt


class Form(NamedTuple):
    """How another program keeps a prompt.

    Attributes:
        read: Its file or folder -> a prompt, a bank of one; ValueError or
            FileNotFoundError if it is not such a prompt.
        write: Writes a prompt with what of its provenance the form can hold.
    """

    read: Callable[[Path], Prompt]
    write: Callable[[Path, Prompt, Provenance], None]


FORMS: dict[str, Form] = {
    "google": Form(
        google.read_prompt, lambda path, prompt, _: google.write_prompt(path, prompt)
    ),
}


def find_form(name: str) -> Form:
    """Returns the form of this name; ValueError if there is none."""
    if name not in FORMS:
        raise ValueError(f"unknown form {name!r}: use one of {list(FORMS)}")
    return FORMS[name]
