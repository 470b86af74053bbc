"""The prompts that can be asked, by name: files of a folder, or named at the start."""

import dataclasses
import math
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxprompt.config import WORDS, Run
from jaxprompt.config.answering import answering_run
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.heads.head import Scorer
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts import soft_ids
from jaxprompt.prompts.file import load_prompt_and_head
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.provenance import Provenance, check_backbone
from jaxprompt.runs.ready.prepare import check_slots
from jaxprompt.screen.quoting import listed, quoted_path
from jaxprompt.serve.names import check_name, no_folder
from jaxprompt.serve.slots.engine import Ready
from jaxprompt.serve.slots.label_engine import GroupMember, LabelEngine
from jaxprompt.serve.texts import AsInTraining, AsItIs, Headed, TextLayout
from jaxprompt.shapes import Params

ENDING = ".safetensors"


class Way(NamedTuple):
    """How texts are put behind a prompt.

    Attributes:
        layout: Lays them out.
        ready: The prompt and the layout's lead, as the engine read them.
    """

    layout: TextLayout
    ready: Ready


class Scored(NamedTuple):
    """How texts are answered by a head behind a prompt.

    Attributes:
        layout: Lays them out.
        member: The prompt and the head, as the engine took them.
    """

    layout: Headed
    member: GroupMember


class Opened(NamedTuple):
    """A prompt file that was read, and how texts stand behind it.

    Attributes:
        prompt: A bank of one.
        provenance: Where it comes from.
        layout: Of its task; of texts as they are where the file names none.
        plain: Of a conversation, which the chat template has written.
        head: The run, the task and the weights of a head; None for words.
    """

    prompt: Prompt
    provenance: Provenance
    layout: TextLayout
    plain: TextLayout
    head: tuple[Run, Task, Params] | None = None

    @property
    def tokens(self) -> int:
        """Soft tokens, and keys and values in each layer."""
        return self.prompt.length + self.columns

    @property
    def columns(self) -> int:
        """Keys and values in each layer."""
        return sum(deep.length for deep in self.prompt.deep.values())

    @property
    def room(self) -> int:
        """Tokens that the engine holds in front of a text."""
        leads = (self.layout.lead, self.plain.lead)
        return max(self.prompt.length, *map(len, leads)) + self.columns


def open_prompt(file: Path, backbone: Backbone, vocabulary: Vocabulary) -> Opened:
    """Reads a prompt file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none, or its task does not fit the vocabulary.
    """
    # At once: another file may take its place meanwhile.
    prompt, provenance, weights = load_prompt_and_head(file)
    soft = soft_ids.prefix(backbone.vocab_rows, prompt.length)
    plain = AsItIs(vocabulary.without_bos(), soft)
    if not provenance.answering:
        if provenance.head != WORDS:
            raise ValueError(
                f"{file.name} answers by a head of {provenance.head}, but names no "
                "task: `jaxprompt predict` answers with it, given its settings"
            )
        return Opened(prompt, provenance, AsItIs(vocabulary, soft), plain)
    run = answering_run(provenance.answering, f"prompt {file.name}")
    task = run.load(run.data.tasks[0], vocabulary)
    check_slots(task, [prompt.length])
    task.check_length(run.data.input_length)
    if task.answers is not None:
        return Opened(prompt, provenance, plain, plain, (run, task, weights))
    lengths = Lengths(run.data.input_length, run.data.target_length)
    longest = run.evaluation.decode_length or lengths.targets
    layout = AsInTraining(task, lengths, soft, longest=longest)
    return Opened(prompt, provenance, layout, plain)


@dataclasses.dataclass(frozen=True, eq=False)
class Named:
    """A prompt that can be asked.

    Attributes:
        name: Its name.
        provenance: Where it comes from.
        asked: How its task's texts are put behind it, to be answered in words; None
            where it has a head.
        plain: How a conversation is put behind it, as the chat template writes it.
        scored: How a head answers its task's texts; None where it answers in words.
        tokens: Soft tokens, and keys and values in each layer.
        is_deep: Whether it has keys and values.
        created: When it was loaded, in seconds since 1970.
        rows: Its soft tokens.
    """

    name: str
    provenance: Provenance
    asked: Way | None
    plain: Way | None
    scored: Scored | None
    tokens: int
    is_deep: bool
    created: int
    rows: Float[np.ndarray, "P D"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its task; none where it has none."""
        if self.scored is not None:
            return self.scored.layout.answers.labels
        words = None if self.asked is None else self.asked.layout.verbalizer
        return () if words is None else words.labels

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its task's rows; none where texts stand as they are."""
        if self.scored is not None:
            return self.scored.layout.fields
        return () if self.asked is None else self.asked.layout.fields

    @property
    def told(self) -> str:
        """Its name, and how texts are put behind it."""
        if self.asked and isinstance(self.asked.layout, AsItIs):
            return f"{self.name}: its file names no task, so texts stand as they are"
        return f"{self.name}: task {self.provenance.task}"

    def describe(self) -> dict[str, Any]:
        """Says what it is, as JSON can hold it."""
        said = self.provenance
        score = said.score
        if score is not None and not math.isfinite(score):
            score = None  # JSON has no number for it.
        return {
            "tokens": self.tokens,
            "kind": "deep" if self.is_deep else "shallow",
            "task": said.task,
            "labels": list(self.labels),
            "fields": list(self.fields),
            "metric": said.metric,
            "score": score,
            "head": said.head,
            "fingerprint": said.fingerprint,
        }


class Bank:
    """Prompts by name. One thread at a time may change it; any may read it."""

    def __init__(
        self,
        backbone: Backbone,
        vocabulary: Vocabulary,
        read: Callable[[Prompt, Sequence[int]], Ready],
        labels: LabelEngine,
        chooser_of: Callable[[Run, Task], Scorer],
        *,
        folder: Path | None = None,
        files: Mapping[str, Path] = MappingProxyType({}),
        model_name: str = "",
        another_backbone: bool = False,
    ):
        """Starts without any prompt.

        Args:
            backbone: The model that prompts must have been trained on.
            vocabulary: The model's.
            read: Makes a prompt and a lead ready, for any number of answers.
            labels: Takes prompts with heads.
            chooser_of: From a run and its task to how its answers are scored.
            folder: Where `load` finds prompts, and `refresh` all of them.
            files: Name -> file of prompts that the folder does not hold, which
                `load_files` loads.
            model_name: What the model is asked by, and no prompt.
            another_backbone: Allows prompts of another model.

        Raises:
            FileNotFoundError: If there is no such folder.
        """
        if folder is not None and not folder.is_dir():
            raise no_folder(folder)
        self._backbone, self._vocabulary = backbone, vocabulary
        self._read, self._folder = read, folder
        self._files, self._model_name = files, model_name
        self._labels, self._chooser_of = labels, chooser_of
        self._another_backbone = another_backbone
        self._prompts: dict[str, Named] = {}
        self._seen: dict[str, tuple[int, ...]] = {}
        self._left_out: set[str] = set()
        self._last_told = ""

    @property
    def prompts(self) -> Mapping[str, Named]:
        """All prompts, by their names."""
        return self._prompts

    def load_files(self) -> Iterator[Named]:
        """Loads the prompts that the server's owner names one by one.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a name is no name or the model's, or a file no prompt of
                this model.
        """
        for name, file in self._files.items():
            yield self._load_file(name, file)

    def _load_file(self, name: str, path: Path) -> Named:
        check_name(name)
        if name == self._model_name:
            raise ValueError(
                f"{name!r} is the name that the model itself is asked by: give the "
                "prompt another"
            )
        opened = open_prompt(path, self._backbone, self._vocabulary)
        prompt, provenance = opened.prompt, opened.provenance
        check_backbone(provenance, self._backbone, override=self._another_backbone)
        asked = plain = scored = None
        if opened.head is None:
            asked = Way(opened.layout, self._read(prompt, opened.layout.lead))
            plain = Way(opened.plain, asked.ready)
            if opened.plain.lead != opened.layout.lead:
                plain = Way(opened.plain, self._read(prompt, opened.plain.lead))
        else:
            scored = self._scored(prompt, *opened.head)
        named = Named(
            name,
            provenance,
            asked,
            plain,
            scored,
            opened.tokens,
            bool(prompt.deep),
            int(time.time()),
            np.asarray(prompt.rows)[0],
        )
        # A new dict: whoever iterates over the old one is not disturbed.
        self._prompts = {**self._prompts, name: named}
        return named

    def _scored(self, prompt: Prompt, run: Run, task: Task, head: Params) -> Scored:
        assert task.answers is not None
        length = task.answers.targets(run.data.target_length)
        lengths = Lengths(run.data.input_length, length)
        soft = soft_ids.prefix(self._backbone.vocab_rows, prompt.length)
        layout = Headed(task, lengths, soft)
        member = self._labels.read(
            prompt,
            head,
            self._chooser_of(run, task),
            task.answers,
            length=length,
            room=layout.width,
        )
        return Scored(layout, member)

    def load(self, name: str) -> Named:
        """Loads NAME.safetensors of the folder, once more if it is loaded.

        Raises:
            FileNotFoundError: If there is no such file, or no folder.
            ValueError: As `load_files`; or if that has loaded another file so.
        """
        check_name(name)
        if name in self._files:
            raise ValueError(
                f"--prompts names another file {name!r}: give this one another name"
            )
        if self._folder is None:
            raise FileNotFoundError(
                "this server was started without --bank, so it loads no prompts"
            )
        found = _regular_file(self._folder / f"{name}{ENDING}")
        if found is None:
            raise FileNotFoundError(f"no file {name}{ENDING} in the server's folder")
        self._left_out.discard(name)
        named = self._load_file(name, self._folder / f"{name}{ENDING}")
        self._seen[name] = found
        return named

    def unload(self, name: str) -> None:
        """Forgets a prompt; answers that have begun go on.

        Raises:
            KeyError: If there is none of this name.
        """
        if name not in self._prompts:
            raise KeyError(name)
        self._left_out.add(name)
        self._forget(name)

    def refresh(self) -> list[str]:
        """Makes the prompts those of the folder: new, changed and removed files.

        A prompt that was unloaded stays out until it is loaded. A file that cannot be
        read changes nothing, and neither does a folder, as of a disk that went away.

        Returns:
            What was done, a line each; what does not change is told once.
        """
        if self._folder is None:
            return []
        try:
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            why = error.strerror or str(error)
            return self._told_once(
                f"the folder of prompts {quoted_path(self._folder)} cannot be read "
                f"({why}): what was loaded of it stays"
            )
        paths = [self._folder / name for name in names if name.endswith(ENDING)]
        links = [path.name for path in paths if path.is_symlink()]
        done = self._told_once(
            f"left out {listed(links)}, for a link may lead out of the folder: put the "
            "files there"
            if links
            else ""
        )
        files = {
            path.name.removesuffix(ENDING): found
            for path in paths
            if (found := _regular_file(path)) is not None
        }
        for name in sorted({*self._seen} - {*files}):
            del self._seen[name]
            self._left_out.discard(name)
            if name in self._prompts and name not in self._files:
                self._forget(name)
                done.append(f"unloaded {name}: its file is gone")
        for name, found in files.items():
            if name in self._left_out or self._seen.get(name) == found:
                continue
            self._seen[name] = found  # A damaged file is told of once.
            try:
                self.load(name)
            except (ValueError, OSError) as error:
                done.append(f"did not load {name}: {error}")
            else:
                done.append(f"loaded {self._prompts[name].told}")
        return done

    def _told_once(self, line: str) -> list[str]:
        """Returns a line unless it is the last one; none for an empty one."""
        again, self._last_told = line == self._last_told, line
        return [] if again or not line else [line]

    def _forget(self, name: str) -> None:
        self._prompts = {n: p for n, p in self._prompts.items() if n != name}


def _regular_file(path: Path) -> tuple[int, ...] | None:
    """Returns what changes with a file; None if it is a link, or no file."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    # The time of its attributes too: a file may become readable.
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
