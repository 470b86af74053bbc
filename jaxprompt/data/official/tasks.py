"""The official tasks by name, as tasks for a backbone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxprompt.data.official.benchmarks import glue, qa, superglue
from jaxprompt.data.official.names import check_name
from jaxprompt.data.official.spec import Spec
from jaxprompt.data.official.texts import Texts
from jaxprompt.data.tasks.task import Compare, Task, Write
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

OFFICIAL_TASKS: dict[str, Spec] = {**glue.TASKS, **superglue.TASKS, **qa.TASKS}

START_WORDS = {
    "record": ("commonsense", "reasoning", "reading", "comprehension"),
    "wsc": ("commonsense", "pronoun", "resolution"),
    "stsb": ("0.0", "1.0", "2.0", "3.0", "4.0", "5.0"),
}
"""Task without label words -> words for class-label initialisation.

Source: Lester et al. 2021 (arXiv:2104.08691), on initialisation for ReCoRD and WSC. For
STS-B, the scores that bound its range and divide it.
"""


def load_task(
    name: str,
    *,
    vocabulary: Vocabulary,
    data_dir: str | Path | None = None,
    keep_task_name: bool = False,
    label_words: Mapping[str, str] | None = None,
) -> Task:
    """Loads an official task in t5's text-to-text format.

    Rows are read, and validated, when a split is first used.

    Args:
        name: One of `data.official.names.task_names()`.
        vocabulary: The backbone's vocabulary.
        data_dir: Folder of the official files; None for TFDS.
        keep_task_name: Whether the inputs start with the task's name, as T5 was
            trained. Prompt tuning drops it: the prompt has to say what to do.
        label_words: Label of t5's format -> the word that stands for it (verbalizer),
            where the model knows a better one; every label needs a word of its own.

    Returns:
        The task; the same examples from TFDS and from files.

    Raises:
        ValueError: If there is no such task, or the label words are not of its labels.
        FileNotFoundError: If the files are not there.

    Source: no task name in the input: Lester et al. 2021, sec. 3 (arXiv:2104.08691).
    """
    check_name(name)
    spec = OFFICIAL_TASKS[name]
    texts = Texts(name, spec.formats(keep_task_name))
    labels, write, compare = spec.label_words, texts.write, spec.postprocess_fn
    if label_words is not None:
        if labels is None:
            raise ValueError(
                f"label words {dict(label_words)} of task {name}: its answers are free "
                "text, so leave label_words out"
            )
        words = _words_of(labels, label_words, name)
        write = _in_words(write, dict(zip(labels, words, strict=True)))
        compare = _of_words(compare, dict(zip(words, labels, strict=True)))
        labels = words
    return Task(
        name=name,
        source=spec.source(data_dir),
        vocabulary=vocabulary,
        read_request=spec.read_request,
        labels=labels,
        write=write,
        compare=compare,
        fields=texts.fields,
        metrics=tuple(spec.metric_fns),
        start_words=START_WORDS.get(name, labels or ()),
    )


def _words_of(
    labels: tuple[str, ...], label_words: Mapping[str, str], name: str
) -> tuple[str, ...]:
    words = tuple(label_words.get(label, "") for label in labels)
    if set(label_words) != set(labels) or len({*words, ""}) <= len(labels):
        raise ValueError(
            f"label words {dict(label_words)} of task {name}: give each of its labels "
            f"{', '.join(labels)} a word of its own"
        )
    return words


def _in_words(write: Write, word_of: Mapping[str, str]) -> Write:
    """Puts a word in the place of each label; other targets stay as they are."""
    return lambda rows: [
        example._replace(targets=word_of.get(example.targets, example.targets))
        for example in write(rows)
    ]


def _of_words(compare: Callable[..., Any], label_of: Mapping[str, str]) -> Compare:
    """Compares the label that a word stands for; no label is "", none at all."""

    def of_label(text: str, **example: Any) -> Any:
        return compare(label_of.get(text, ""), **example)

    return of_label
