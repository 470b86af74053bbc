"""The families of models that there are: a new one is a file here, and a line below."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from jaxprompt.models.config import Config
from jaxprompt.models.families import (
    bert,
    gemma,
    gpt2,
    llama,
    mistral,
    modernbert,
    olmo2,
    phi3,
    qwen,
    roberta,
    smollm3,
    t5,
)
from jaxprompt.models.families.family import Family
from jaxprompt.screen.quoting import quoted

if TYPE_CHECKING:
    from jaxprompt.models.backbone import Backbone

FAMILIES: list[Family] = [
    t5.FAMILY,
    gpt2.FAMILY,
    llama.FAMILY,
    mistral.FAMILY,
    qwen.QWEN2,
    qwen.QWEN3,
    gemma.GEMMA2,
    gemma.GEMMA3,
    phi3.FAMILY,
    olmo2.FAMILY,
    smollm3.FAMILY,
    bert.FAMILY,
    roberta.ROBERTA,
    roberta.XLM_R,
    modernbert.FAMILY,
]

CONFIGS: tuple[type[Config], ...] = tuple(family.config for family in FAMILIES)
"""The class of each family's sizes and switches."""

if TYPE_CHECKING:
    AnyConfig = Config
else:
    AnyConfig = Union[CONFIGS]  # noqa: UP007 - it has as many members as families
"""The type of a setting that takes any of them."""

PUBLISHED: dict[str, Config] = {
    name: config for family in FAMILIES for name, config in family.published.items()
}
"""Hub name -> sizes of all models whose sizes are known without it."""


def register_family(family: Family) -> None:
    """Adds a family that this package does not have; see docs/extending.md.

    Args:
        family: The family. Its config.json names a `model_type` of its own.

    Raises:
        ValueError: If there is one of its name, its config or its `model_type`.
    """
    for other in FAMILIES:
        shared = {*other.hugging_face.model_types} & {*family.hugging_face.model_types}
        if shared or other.name == family.name or other.config is family.config:
            raise ValueError(
                f"family {family.name} shares its name, its config or a model_type "
                f"with {other.name}: give it its own"
            )
    FAMILIES.append(family)
    PUBLISHED.update(family.published)


def family_of(config: Config) -> Family:
    """Returns the family whose config this is."""
    return next(family for family in FAMILIES if type(config) is family.config)


def family_named(name: str) -> Family | None:
    """Returns the family that errors and prompt files call so; None for no such one."""
    return next((family for family in FAMILIES if family.name == name), None)


def family_of_settings(settings: Mapping[str, Any], path: Path) -> Family:
    """Returns the family that a config.json of Hugging Face names.

    Args:
        settings: What it holds.
        path: Where it is, for error messages.

    Raises:
        ValueError: If there is no such family.
    """
    model_type = settings.get("model_type")
    for family in FAMILIES:
        if model_type in family.hugging_face.model_types:
            return family
    known = ", ".join(
        f"{kind} ({family.name})"
        for family in FAMILIES
        for kind in family.hugging_face.model_types
    )
    raise ValueError(
        f"{path}: model_type {quoted(model_type)} is none of the families that can be "
        f"read: {known}; use a model of one of these"
    )


def tokenizer_class_of(settings: Mapping[str, Any]) -> str | None:
    """Returns transformers' class for the tokenizer of the family that is named.

    Args:
        settings: What a config.json of Hugging Face holds; it may name no family.

    Returns:
        See `HuggingFace.tokenizer_class`; None where there is no such family.
    """
    for family in FAMILIES:
        if settings.get("model_type") in family.hugging_face.model_types:
            return family.hugging_face.tokenizer_class
    return None


def make_backbone(config: Config, **options: Any) -> "Backbone":
    """Makes the functions of a model of these sizes.

    Args:
        config: Sizes and switches.
        **options: Other attributes of the backbone; all families have the same ones.

    Raises:
        ValueError: If an option is unknown.
    """
    return family_of(config).make(config, **options)
