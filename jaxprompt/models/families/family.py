"""What there is to know of a family of models, beside the functions of its backbone."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxprompt.models.config import Config
from jaxprompt.models.families.forms.gguf_facts import Facts
from jaxprompt.models.weights.source import Tensors, TensorSource

if TYPE_CHECKING:
    from jaxprompt.models.backbone import Backbone


class TensorLayout(NamedTuple):
    """Where a checkpoint of one weight format stores the params of a model.

    Attributes:
        sources: Where each leaf is stored, by path.
        copies: Tensors that hold the embedding table again.
        unused: Tensors that are known, and that the model does not read.
    """

    sources: Mapping[str, TensorSource]
    copies: tuple[str, ...] = ()
    unused: frozenset[str] = frozenset()


class HuggingFace(NamedTuple):
    """A family in Hugging Face folders: config.json and safetensors.

    Attributes:
        model_types: What `model_type` of its config.json says.
        auto_class: The class of transformers that reads it.
        read_config: What config.json holds, its path and the tensors beside it -> sizes
            and switches. Raises ValueError if they cannot be those of the tensors.
        write_config: Sizes and switches, and the dtype of the weights -> what
            config.json shall hold.
        layout: Sizes and switches, and the names of all tensors -> their places. None
            stands for the names that transformers gives.
        tokenizer_class: The class of transformers that reads its tokenizer, where no
            file beside the model names one; None for its tokenizer.json as it is.
    """

    model_types: tuple[str, ...]
    auto_class: str
    read_config: Callable[[Mapping[str, Any], Path, Tensors], Config]
    write_config: Callable[[Any, str], dict[str, Any]]
    layout: Callable[[Any, Collection[str] | None], TensorLayout]
    tokenizer_class: str | None = None


class T5X(NamedTuple):
    """A family in T5X checkpoint folders, which say nothing but names and shapes.

    Attributes:
        read_config: Shapes of all tensors by name, and the folder -> sizes and
            switches. Raises ValueError if the tensors are not those of the family.
        layout: Sizes and switches -> the places of all tensors.
    """

    read_config: Callable[[Mapping[str, tuple[int, ...]], Path], Config]
    layout: Callable[[Any], TensorLayout]


class GGUF(NamedTuple):
    """A family in GGUF files, which are read as the folder each was made of.

    Attributes:
        architecture: What `general.architecture` says.
        read_settings: What the file says -> what config.json of the same model says.
        names: What a tensor's name begins with -> what it begins with in Hugging Face
            folders. A number, of the layer, is "{n}". A tensor that is not among them
            keeps its name.
        in_pairs: What the name of a tensor begins with whose rows of each head lie in
            pairs, first and second half by turns -> the setting that says how many
            heads it has.
        norms_above_one: Whether weights of norms are stored larger by 1.
    """

    architecture: str
    read_settings: Callable[[Facts], dict[str, Any]]
    names: Mapping[str, str]
    in_pairs: Mapping[str, str] = MappingProxyType({})
    norms_above_one: bool = False


class Family(NamedTuple):
    """A family of models.

    Attributes:
        name: What errors and cards call one of its models.
        config: The class of its sizes and switches.
        make: Sizes and switches, and options -> the functions of a model.
        published: Hub name -> sizes and switches, to plan for a model without it.
        hugging_face: Its form in Hugging Face folders.
        t5x: Its form in T5X checkpoint folders; None if there are none.
        gguf: Its forms in GGUF files, one for each architecture that they name.
        scaled_forms: Forms of prompts, by their names in `interop.forms`, whose program
            takes rows as they are behind its multiplication by sqrt(D); the rows of a
            prompt are those in front of it. None for families that multiply nothing.
        takes_prefix: Whether transformers' model takes keys and values in front of a
            text, as PEFT gives them to it.
        first_leaves: Leaves that fingerprints of version 1 hashed, in this order; none
            for families that came after it.
    """

    name: str
    config: type[Config]
    make: Callable[..., "Backbone"]
    published: Mapping[str, Config]
    hugging_face: HuggingFace
    t5x: T5X | None = None
    gguf: tuple[GGUF, ...] = ()
    first_leaves: tuple[str, ...] = ()
    scaled_forms: frozenset[str] = frozenset()
    takes_prefix: bool = True
