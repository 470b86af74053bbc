"""Conversations of one's own: each answer of the assistant is an example."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxprompt.data.read.conversations import Conversation, read_conversation
from jaxprompt.data.read.files import Row, read_rows
from jaxprompt.data.read.shares import check_share, split_of_row
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.table import Table
from jaxprompt.data.read.template import Piece, Template
from jaxprompt.data.tasks.own import Rows, found_rows, free_text_metrics
from jaxprompt.data.tasks.task import Example, Task
from jaxprompt.data.vocabulary.chat import (
    ASSISTANT,
    ChatTemplate,
    Turn,
    template_beside,
)
from jaxprompt.data.vocabulary.vocabulary import Vocabulary

_THREAD = "conversation"
"""Feature of an answer that says where its conversation stands."""


def chat_task(
    name: str,
    *,
    files: Rows | Mapping[str, Rows],
    vocabulary: Vocabulary,
    share: Mapping[str, float] | None = None,
    seed: int = 0,
    messages: str = "messages",
    metrics: Sequence[str] = ("rouge",),
) -> Task:
    """Makes a task of files of `data.read.conversations`.

    Each answer that is learned is an example: in front of it stands the conversation so
    far, exactly as the model reads it when it is to answer there, and the answer ends
    as the assistant's turn does. Only the answer has a loss. Training reads answers of
    a conversation in one row where it can; see `data.tasks.threads`. Where a
    conversation is too long, the texts of its oldest turns are shortened first, and the
    system's last.

    Args:
        name: Letters, digits, "_", "." and ":".
        files: Split -> .jsonl file, a conversation a line, or rows in memory; or one of
            these, which is the split "train" or is divided by `share`.
        vocabulary: The backbone's vocabulary, beside which its chat template is.
        share: Split -> share of the conversations, 1 in sum. The split of one depends
            on its number and the seed alone.
        seed: Seed of that division.
        messages: The field of a conversation's turns.
        metrics: Names out of `data.tasks.metrics.METRICS`.

    Returns:
        The task. A split's file is looked for, and its rows are validated, when the
        split is first used: without any file the task still answers requests.

    Raises:
        ValueError: If the model has no chat template, or a file has another ending;
            later, if a row is malformed, or the template cannot write it.
    """
    template = template_beside(vocabulary, f"the conversations of task {name}")
    if isinstance(files, Mapping) and share is not None:
        raise ValueError("share divides one file, but files names one per split")
    named = files if isinstance(files, Mapping) else {"train": files}
    places = {split: found_rows(rows) for split, rows in named.items()}
    if share is not None:
        check_share(share)
    chats = _Chats(places, share, seed, messages, template)
    # The chat template writes beginning-of-sequence where the model reads it.
    ending = vocabulary.ending_with(template.turn_end(vocabulary)).without_bos()
    return Task(
        name=name,
        source=Source(name, chats.find),
        vocabulary=ending,
        read_request=chats.read_request,
        write=chats.write,
        compare=_compared,
        metrics=tuple(free_text_metrics(metrics, ending)),
        start_words=("assistant", "answer"),
        own_fields=(messages,),
        thread=_THREAD,
    )


@dataclasses.dataclass(frozen=True)
class _Chats:
    """The files of a task, and how their conversations are written."""

    places: Mapping[str, Path | Table]
    share: Mapping[str, float] | None
    seed: int
    messages: str
    template: ChatTemplate

    def find(self) -> dict[str, SplitRows]:
        if not self.places:
            raise ValueError(
                "files is empty: name a file for each split, as "
                "--gin.OwnChats.files=\"{'validation': 'chats.jsonl'}\""
            )
        if self.share is None:
            return {
                split: self._rows(place, lambda rows: rows)
                for split, place in self.places.items()
            }
        (place,) = self.places.values()
        return {
            split: self._rows(place, functools.partial(self._part, split))
            for split in self.share
        }

    def _part(self, split: str, rows: Sequence[Row]) -> list[Row]:
        """Takes the conversations of a split: all answers of each are in one."""
        assert self.share is not None
        share, seed = self.share, self.seed
        numbered = enumerate(rows)
        return [row for n, row in numbered if split_of_row(n, share, seed) == split]

    def _rows(
        self, place: Path | Table, pick: Callable[[Sequence[Row]], Sequence[Row]]
    ) -> SplitRows:
        @functools.cache
        def read() -> list[tuple[str, Features]]:
            rows = pick(place.rows if isinstance(place, Table) else read_rows(place))
            found = [*itertools.chain.from_iterable(map(self._answers, rows))]
            if not found:
                raise ValueError(
                    f"{place}: no turn of {ASSISTANT!r} to learn in {len(rows)} "
                    "conversations of the split: add answers, or use other shares"
                )
            return found

        def rows() -> list[Features]:
            return [{**row, "idx": n} for n, (_, row) in enumerate(read())]

        file = None if isinstance(place, Table) else place
        return SplitRows(rows, file, lambda: [where for where, _ in read()])

    def _answers(self, row: Row) -> list[tuple[str, Features]]:
        """Returns the place and the features of each answer that is learned."""
        chat = read_conversation(row, self.messages)
        return [
            (f"{row.where}: {self.messages}[{end}]", self._asked(row, chat, end))
            for end, learned in enumerate(chat.learned)
            if learned
        ]

    def _asked(self, row: Row, chat: Conversation, end: int) -> Features:
        where = f"{row.where}: {self.messages}[{end}]"
        if not chat.texts[end].strip():
            raise ValueError(
                f"{where}: the answer is empty: write it, or give it a weight of 0"
            )
        try:
            spoken = self.template.speak(_turns(chat)[: end + 1])
        except ValueError as err:
            raise ValueError(f"{where}: {err}") from err
        return {
            "inputs": spoken.asked,
            "targets": spoken.said,
            _THREAD: row.where,
            **_features(_turns(chat)[:end]),
        }

    def read_request(self, row: Row, number: int) -> Features:
        """Reads a conversation to go on with; an answer at its end is left out.

        A text alone is what a user says first.
        """
        said = row.fields.get(self.messages)
        if isinstance(said, str):
            turns = [Turn("user", said)]
        else:
            turns = _turns(read_conversation(row, self.messages))
        if turns[-1].role == ASSISTANT:
            turns = turns[:-1]
        try:
            text = self.template.write(turns, answer=True)
        except ValueError as err:
            raise ValueError(f"{row.where}: {self.messages}: {err}") from err
        return {"inputs": text, "targets": "", **_features(turns), "idx": number}

    def write(self, rows: Sequence[Features]) -> list[Example]:
        return [
            Example(row["inputs"], row["targets"], self._pieces(row)) for row in rows
        ]

    def _pieces(self, row: Features) -> tuple[Piece, ...]:
        """Returns the texts of the turns, which can be cut, and what stands around.

        Nothing where the template does not write texts as they are, or without spaces
        around: then the whole text is cut at its end.
        """
        form = self._form(tuple(row["roles"]))
        if form is None:
            return ()
        for texts in (row["texts"], [text.strip() for text in row["texts"]]):
            pieces = form.pieces({_field(n): text for n, text in enumerate(texts)})
            if "".join(piece.text for piece in pieces) == row["inputs"]:
                return tuple(pieces)
        return ()

    def _form(self, roles: tuple[str, ...]) -> Template | None:
        """Returns how turns of these roles are written, and which are cut first.

        None if the template does not write each of them.
        """
        if roles not in self._forms:
            turns = [Turn(role, f"{{{_field(n)}}}") for n, role in enumerate(roles)]
            order = sorted(range(len(roles)), key=lambda n: roles[n] == "system")
            try:
                text = self.template.as_template(turns)
                self._forms[roles] = Template(text, [*map(_field, order)])
            except ValueError:
                self._forms[roles] = None
        return self._forms[roles]

    @functools.cached_property
    def _forms(self) -> dict[tuple[str, ...], Template | None]:
        return {}


def _turns(chat: Conversation) -> list[Turn]:
    return [*map(Turn, chat.roles, chat.texts)]


def _features(turns: Sequence[Turn]) -> Features:
    return {
        "roles": [turn.role for turn in turns],
        "texts": [turn.content for turn in turns],
    }


def _field(number: int) -> str:
    return f"turn{number}"


def _compared(text: str, example: Any = None, is_target: bool = False) -> Any:
    """Compares texts as they are; a target is a list of the one right answer."""
    del example
    return [text] if is_target else text
