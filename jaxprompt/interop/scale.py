"""Rows of a prompt as a form holds them: some models multiply their embeddings."""

from jaxprompt.models.config import Config
from jaxprompt.models.families import PUBLISHED, family_named, family_of
from jaxprompt.models.families.family import Family
from jaxprompt.models.load import find_here
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.provenance import Provenance


def scaled_for(
    form: str, prompt: Prompt, provenance: Provenance, chosen: str = ""
) -> Prompt:
    """Returns a prompt's rows as a form holds them; see `Family.scaled_forms`.

    Args:
        form: One of `interop.forms.FORMS`.
        prompt: A bank of one.
        provenance: Where it comes from.
        chosen: The model, where its owner names one; else that of the provenance.
    """
    family = _family_of(provenance, chosen)
    return Prompt(prompt.rows * scale_of(form, family, prompt.width))


def scale_of(form: str, family: Family | None, width: int) -> float:
    """Returns what rows of a prompt are multiplied by in a form."""
    scaled = family is not None and form in family.scaled_forms
    return width**0.5 if scaled else 1.0


def find_config(backbone: str) -> Config | None:
    """Returns the sizes of a model that lies here, or whose sizes are published."""
    found = find_here(backbone)
    return PUBLISHED.get(backbone) if found is None else found.config


def _family_of(provenance: Provenance, chosen: str) -> Family | None:
    """Returns the family of a prompt's model; None if nothing tells it."""
    if provenance.family:
        return family_named(provenance.family)
    # A folder's name in a provenance says nothing of where the folder is.
    found = PUBLISHED.get(provenance.backbone)
    found = find_config(chosen) if chosen else found
    return None if found is None else family_of(found)
