"""The README.md of a prompt's repository on the Hub: scores, data, use."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxprompt.prompts.provenance import Provenance
from jaxprompt.report.reading.nearest import SoftToken
from jaxprompt.report.results.rows import sample_stddev
from jaxprompt.report.text.markdown import (
    code,
    fenced,
    markdown_table,
    render_markdown,
)


@dataclass(frozen=True, kw_only=True)
class CardPrompt:
    """One prompt of the repository.

    Attributes:
        file: Its file there.
        adapter: Folder of the same for PEFT there; empty for the repository itself.
        provenance: Where it comes from.
        member: What result.json says of it; None if there is none.
        tokens: Its soft tokens and the words that they are near; empty if unknown.
    """

    file: str
    adapter: str
    provenance: Provenance
    member: Mapping[str, Any] | None = None
    tokens: Sequence[SoftToken] = ()


@dataclass(frozen=True, kw_only=True)
class CardRun:
    """One configuration, and the prompts of the repository that were trained by it.

    Attributes:
        files: Their files there.
        data: What they were trained and scored on, by name of the fact; empty if that
            is not known.
        training: How they were trained, by name of the fact; empty if unknown.
        chosen_on: Split that the best step was chosen on; empty for none.
        config: The whole configuration as gin text; empty if unknown.
    """

    files: Sequence[str]
    data: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, str] = field(default_factory=dict)
    chosen_on: str = ""
    config: str = ""


def prompt_card(
    repository: str,
    prompts: Sequence[CardPrompt],
    *,
    result: Mapping[str, Any] | None = None,
    runs: Sequence[CardRun] = (),
    adds_bos: bool = False,
) -> str:
    """Writes the card.

    Args:
        repository: "name/repo".
        prompts: The repository's prompts, of one backbone; one or more.
        result: Content of the run's result.json, which may tell of more seeds than the
            repository has; None if there is none.
        runs: Their configurations, each once; empty if none is known.
        adds_bos: Whether a decoder's tokenizer begins the text, as it does by itself.

    Returns:
        Markdown behind the YAML header that the Hub reads. Of the backbones that have
        a name on the Hub it says so there.
    """
    provenance = prompts[0].provenance
    members = [prompt.member for prompt in prompts if prompt.member is not None]
    base = hub_name(provenance)
    tasks = list(dict.fromkeys(filter(None, (p.provenance.task for p in prompts))))
    pipeline = "text-generation" if provenance.causal else "text2text-generation"
    return render_markdown(
        "prompt_card.md.j2",
        repository=repository,
        name=repository.rpartition("/")[2],
        prompts=prompts,
        provenance=provenance,
        base=base,
        bundled=provenance.backbone.startswith("bundled:"),
        tasks=", ".join(tasks),
        place=_place_of(provenance, base),
        pipeline=pipeline,
        index=_model_index(repository, members, pipeline),
        scores=_scores(_with_shift(members)) if members else "",
        by_loss=not any(member.get("metrics") for member in members),
        spread=_spread(prompts, result) if members else [],
        flattered=_flattered(prompts, runs),
        runs=[
            {
                "files": ", ".join(run.files),
                "data": _facts(run.data),
                "training": _facts(run.training),
                "config": fenced(run.config, "gin") if run.config.strip() else "",
            }
            for run in runs or [CardRun(files=[prompt.file for prompt in prompts])]
        ],
        words=[_words(prompt) for prompt in prompts if prompt.tokens],
        adds_bos=adds_bos,
        versions=", ".join(f"{k} {v}" for k, v in provenance.versions.items()),
    )


def hub_name(provenance: Provenance) -> str:
    """Returns the name of a backbone on the Hub; empty if it is not known to have one.

    A folder's name has no slash and no revision.
    """
    known = provenance.revision is not None or "/" in provenance.backbone
    return provenance.backbone if known else ""


def _place_of(provenance: Provenance, base: str) -> str:
    """Returns what `from_pretrained` loads, or words in the place of a folder."""
    return base or f"path/to/{provenance.backbone.removeprefix('bundled:')}"


def _model_index(
    repository: str, members: Sequence[Mapping[str, Any]], pipeline: str
) -> list[dict[str, Any]]:
    """Lays out the metrics as the Hub reads them, those of several seeds as means.

    Args:
        repository: "name/repo" on the Hub.
        members: What result.json says of each prompt.
        pipeline: What the Hub calls the kind of task.

    Source: https://huggingface.co/docs/hub/model-cards, "Evaluation Results".
    """
    results = []
    for task in dict.fromkeys(member["task"] for member in members):
        own = [member for member in members if member["task"] == task]
        metrics = [
            {
                "type": name,
                "value": statistics.fmean(_metrics(member)[name] for member in own),
                "name": f"{name}, mean of {len(own)} seeds" if len(own) > 1 else name,
            }
            for name in _metrics(own[0])
        ]
        results.append(
            {
                "task": {"type": pipeline, "name": task},
                "dataset": {"type": task, "name": task, "split": own[0]["split"]},
                "metrics": metrics,
            }
        )
    return [{"name": repository.rpartition("/")[2], "results": results}]


def _metrics(member: Mapping[str, Any]) -> Mapping[str, float]:
    """Returns the metrics; a run that is measured by its loss has no others."""
    return member.get("metrics") or {"loss": member["loss"]}


def _with_shift(members: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Puts behind each member its scores on tasks that its training never saw."""
    rows = []
    for member in members:
        rows.append(member)
        for name, scores in member.get("shift", {}).items():
            task = f"{member['task']} -> {name}"
            rows.append({**scores, "task": task, "seed": member.get("seed")})
    return rows


def _scores(members: Sequence[Mapping[str, Any]]) -> str:
    columns: dict[str, list[Any]] = {
        "task": [member["task"] for member in members],
        "split": [member.get("split") for member in members],
        "examples": [member["examples"] for member in members],
        "metric": [member["metric"] for member in members],
        "majority": [member.get("majority") for member in members],
        "untuned": [member.get("untuned") for member in members],
        "hand-written": [member.get("hand_written") for member in members],
        "prompt": [member["score"] for member in members],
        "illegal %": [
            None if (share := member.get("illegal")) is None else 100 * share
            for member in members
        ],
        "seed": [member.get("seed") for member in members],
    }
    for name in dict.fromkeys(name for m in members for name in _metrics(m)):
        if any(len(_metrics(member)) > 1 for member in members):
            columns[name] = [_metrics(member).get(name) for member in members]
    kept = {
        name: cells
        for name, cells in columns.items()
        if any(cell is not None for cell in cells)
    }
    return markdown_table(
        list(kept), [[*cells] for cells in zip(*kept.values(), strict=True)]
    )


def _spread(
    prompts: Sequence[CardPrompt], result: Mapping[str, Any] | None
) -> list[str]:
    """Says of each task what is known of the other seeds: a sentence or two."""
    result = result or {}
    votes = {vote["task"]: vote["vote"] for vote in result.get("votes", ())}
    lines = []
    members = [prompt.member for prompt in prompts if prompt.member is not None]
    for task in dict.fromkeys(member["task"] for member in members):
        shared = [member for member in members if member["task"] == task]
        run = [
            member["score"]
            for member in result.get("members", shared)
            if member["task"] == task
        ]
        if len(run) == 1:
            lines.append(
                f"{task}: one seed ({shared[0].get('seed', 'unknown')}). How much the "
                "score varies from seed to seed is not known."
            )
            continue
        line = (
            f"{task}: the run trained {len(run)} seeds, which score "
            f"{statistics.fmean(run):.1f} ± {sample_stddev(run):.1f} (mean and "
            f"sample standard deviation), from {min(run):.1f} to {max(run):.1f}."
        )
        if len(shared) < len(run):
            alone = len(shared) == 1
            line += f" Of these {len(run)} prompts {len(shared)} "
            line += "is here" if alone else "are here"
            if max(member["score"] for member in shared) == max(run):
                line += ", the best" if alone else ", the best among them"
                line += ", and whoever picks the best picks luck too"
            line += "."
        elif task in votes:
            line += f" Their majority vote scores {votes[task]:.1f}."
        lines.append(line)
    return lines


def _flattered(prompts: Sequence[CardPrompt], runs: Sequence[CardRun]) -> list[str]:
    """Names the splits that chose the best step of a prompt and scored it too."""
    chosen_on = {file: run.chosen_on for run in runs for file in run.files}
    splits = [
        prompt.member["split"]
        for prompt in prompts
        if prompt.member is not None
        and prompt.member["split"] == chosen_on.get(prompt.file)
    ]
    return list(dict.fromkeys(splits))


def _facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    return markdown_table(
        ["what", "value"], [[name, value] for name, value in facts.items()]
    )


def _words(prompt: CardPrompt) -> tuple[str, str]:
    rows = [
        [str(place), f"{token.norm:.1f}", code(str(token))]
        for place, token in enumerate(prompt.tokens)
    ]
    return prompt.file, markdown_table(
        ["soft token", "norm", "nearest words (cosine)"], rows
    )
