"""Whether prompts were trained on a model, and what is not known of that."""

from collections.abc import Sequence

from jaxprompt.config import Run
from jaxprompt.config.settings import Model
from jaxprompt.data.read.template import Template
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.provenance import Provenance, check_backbone
from jaxprompt.screen.terminal import say


def own_model(said: Provenance, run: Run | None) -> Model:
    """Says where the model of a prompt is, with its weights as they are.

    Args:
        said: Where the prompt comes from. Of a local folder it holds the name alone.
        run: The prompt's run, which holds the path; None for none.
    """
    if run is None or run.model.name is None:
        return Model(name=said.backbone, revision=said.revision)
    return Model(
        name=run.model.name,
        revision=run.model.revision,
        vocabulary=run.model.vocabulary,
    )


def check_leads(said: Provenance, who: str) -> None:
    """Refuses a prompt that does not stand in front of a text it is written for.

    Args:
        said: Where the prompt comes from.
        who: Who would put it in front, as "form peft".

    Raises:
        ValueError: If soft tokens stand within the text, as its template says, or if
            the model fills in a mask.
    """
    if said.head == "mask":
        raise ValueError(
            f"{who} takes a prompt of a model that writes, but this one answers at a "
            "mask: keep its own file"
        )
    task = said.answering.get("task", {})
    for role, text in (task.get("roles") or {}).items():
        # A chat template writes what marks a turn in front of it.
        if Template(text).soft_slots:
            raise ValueError(
                f"{who} puts soft tokens in front of a text, but {role!r} says "
                f"{text!r}, within the conversation: keep its own file"
            )
    inputs = task.get("inputs")
    if isinstance(inputs, str) and not Template(inputs).is_behind_slots:
        raise ValueError(
            f"{who} puts soft tokens in front of a text, but the template {inputs!r} "
            "has some within it: keep its own file"
        )


def check_prompts(
    trained: Sequence[Provenance], backbone: Backbone, *, another_backbone: bool = False
) -> None:
    """Refuses prompts of another model, and tells what is not known of the others.

    Args:
        trained: Where the prompts come from.
        backbone: The model, with its fingerprints.
        another_backbone: Allows a model that they were not trained on.

    Raises:
        ValueError: As `prompts.provenance.check_backbone`.
    """
    notes = [
        check_backbone(provenance, backbone, override=another_backbone)
        for provenance in trained
    ]
    for note in dict.fromkeys(filter(None, notes)):  # A bank's are all the same.
        say(f"jaxprompt: {note}", problem=True)
