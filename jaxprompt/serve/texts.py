"""How what a client asks stands behind a prompt: as in training, or as it is."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int

from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.layout import kept_tokens, layout_of, with_sure_lead
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.requests import RAW, request_pairs, request_parts
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.data.tasks.verbalizer import Verbalizer
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.screen.quoting import listed
from jaxprompt.shapes import Batch

Text: TypeAlias = str | Mapping[str, str]
"""What is asked: a text, or the fields of a row."""


class Laid(NamedTuple):
    """A text behind a prompt.

    Attributes:
        ids: Soft tokens and words, in order, the lead among them.
        words: How many of these are words.
        cut: Tokens of the text that were left out for want of room.
    """

    ids: list[int]
    words: int
    cut: int


class TextLayout(abc.ABC):
    """How texts stand behind a prompt.

    Attributes:
        vocabulary: Turns texts into ids, and says which ids end an answer.
        lead: Ids that every text begins with: read once. Empty for an encoder.
        opening: Ids that every answer begins with, which are no part of its text.
        verbalizer: The words of each label; None where the task has none.
        fields: Of a row, in the order of the template; empty where there is none.
        takes_chat: Whether a conversation can stand behind the soft tokens.
        longest: Tokens of an answer that its task writes; None where that is not known.
    """

    longest: int | None = None

    def __init__(
        self,
        vocabulary: Vocabulary,
        lead: Sequence[int],
        *,
        opening: Sequence[int] = (),
        verbalizer: Verbalizer | None = None,
        fields: tuple[str, ...] = (),
        takes_chat: bool = True,
    ):
        """Takes what every text has in common."""
        self.vocabulary, self.lead = vocabulary, tuple(lead)
        self.opening, self.verbalizer = opening, verbalizer
        self.fields, self.takes_chat = fields, takes_chat

    @abc.abstractmethod
    def lay(self, text: Text, where: str) -> Laid:
        """Lays out a text.

        Args:
            text: What is asked.
            where: The field of the request that holds it, for errors.

        Raises:
            ValueError: If it does not fit the task, or a token has no row in the
                model's table.
        """


class AsItIs(TextLayout):
    """Soft tokens, then the text itself, and end-of-sequence for an encoder.

    Beginning-of-sequence stands between them where the vocabulary adds it.

    So is the model asked without a prompt, and a prompt whose file names no task.
    """

    def __init__(self, vocabulary: Vocabulary, soft_ids: Int[np.ndarray, " P"]):
        """Takes the ids of the prompt's soft tokens; empty for none."""
        self._soft = soft_ids.tolist()
        # The last soft token stays in its row, so that even an empty text has one.
        super().__init__(vocabulary, self._soft[:-1] if vocabulary.causal else ())

    def lay(self, text: Text, where: str) -> Laid:
        """Lays out a text; see `TextLayout.lay`."""
        if not isinstance(text, str):
            raise ValueError(
                f"{where} is an object, but no task is known whose fields it could "
                "hold: send a text"
            )
        try:
            ids = self.vocabulary.encode(text)
        except ValueError as error:
            raise ValueError(
                f"{where} holds a token without a row in the model's table"
            ) from error
        # A decoder has to start from something: without any token, from this one.
        end = [self.vocabulary.eos_id]
        ending = [] if self.vocabulary.causal else end
        first = self.vocabulary.first if self.vocabulary.causal else ()
        return Laid([*self._soft, *first, *ids, *ending] or end, len(ids), 0)


class AsInTraining(TextLayout):
    """The task's own template and lengths, soft tokens where they stand in it.

    So does `jaxprompt predict` ask, with the same file.
    """

    def __init__(
        self,
        task: Task,
        lengths: Lengths,
        soft_ids: Int[np.ndarray, " P"],
        *,
        longest: int,
    ):
        """Takes what the prompt's file says."""
        self._task, self.longest = task, longest
        self._layout = with_sure_lead(layout_of(task, lengths, soft_ids))
        super().__init__(
            task.vocabulary,
            self._layout.lead,
            opening=task.opening_ids,
            verbalizer=task.words,
            fields=task.request_fields,
            takes_chat=task.template is None or task.template.is_behind_slots,
        )

    def lay(self, text: Text, where: str) -> Laid:
        """Lays out the fields of a row; a text is the value of the only one."""
        (pair,) = request_pairs(self._task, [_row_of(self._task, text, where)])
        ids = self._layout.prompted(pair).inputs
        kept = kept_tokens(pair, self._layout.lengths.inputs)
        words, all_words = (
            int((x >= 0).sum()) for x in (pair.inputs[kept], pair.inputs)
        )
        return Laid(ids.tolist(), words, all_words - words)


class Headed:
    """The texts of a task that a head answers, laid out as in training.

    Attributes:
        answers: What the head answers.
        fields: Of a row; see `TextLayout.fields`.
        width: Tokens of the longest row, soft ones among them.
    """

    def __init__(self, task: Task, lengths: Lengths, soft_ids: Int[np.ndarray, " P"]):
        """Takes what the prompt's file says, of a task that is put to a head.

        Args:
            task: The task.
            lengths: Its longest texts.
            soft_ids: Of the prompt.
        """
        assert task.answers is not None
        self._task, self._lengths = task, lengths
        whole = dataclasses.replace(lengths, folds=False)
        self._layout = layout_of(task, whole, soft_ids)
        self.answers, self.fields = task.answers, task.request_fields
        self.width = self._layout.width

    @property
    def is_voted_on(self) -> bool:
        """Whether several prompts of the same labels can vote on an answer."""
        return bool(self.answers.labels) and not self.answers.of_words

    def lay(self, text: Text, where: str) -> "LaidForHead":
        """Lays out the fields of a row; a text is the value of the only one.

        Raises:
            ValueError: If it does not fit the task.
        """
        row = _row_of(self._task, text, where)
        read = request_parts(self._task, row, self._lengths)
        pairs = self._task.encode(read)
        batch = self._layout.padded(pairs)
        if not np.any(batch.input_segments):
            raise ValueError(
                f"{where} is empty, and nothing stands around it: send a text"
            )
        is_soft = np.isin(batch.inputs, self._layout.soft_ids)
        kept = int(np.count_nonzero((batch.input_segments > 0) & ~is_soft))
        whole = sum(
            int(np.count_nonzero(one.inputs >= 0))
            for pair in pairs
            for one in (pair, *pair.beside)
        )
        return LaidForHead(batch, read, kept, whole - kept)


class LaidForHead(NamedTuple):
    """A text that a head is to answer.

    Attributes:
        batch: NumPy arrays: a row, or a row for each window of the text.
        read: What stands in each row.
        kept: Tokens of the text that are read.
        cut: Tokens that were left out for want of room.
    """

    batch: Batch
    read: list[Example]
    kept: int
    cut: int

    @property
    def places(self) -> Int[np.ndarray, " L"]:
        """Where in its row each word is read that is answered by itself; -1 if not."""
        return np.asarray(self.batch.target_places)[0]

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a text whose words are answered one by one."""
        (example,) = self.read
        return example.words or tuple(example.inputs.split())


def _row_of(task: Task, text: Text, where: str) -> Row:
    fields = task.request_fields
    if not isinstance(text, str):
        return Row(where, dict(text))
    if len(fields) == 1:
        return Row(where, {fields[0]: text})
    reads = f"reads {listed(fields)}" if fields else "reads several"
    (raw,) = RAW
    written = f', or {{"{raw}": TEXT}} for a text that is written out'
    raise ValueError(
        f"{where} is a text, but task {task.name} {reads} fields: send an object with "
        f"them{written if task.takes_text else ''}"
    )
