"""How a model writes a conversation: the chat template that came with it."""

import dataclasses
import datetime
import functools
import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.data.vocabulary.pieces import read_settings
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.models.weights.gguf_head import is_gguf
from jaxprompt.screen.quoting import listed, quoted, quoted_path

ASSISTANT = "assistant"
"""The role whose turns the model writes."""

_FILE = "chat_template.jinja"
_SETTINGS = "tokenizer_config.json"
_OF_PROCESSOR = "chat_template.json"  # Of models that also read images.
_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")
_LONGEST = 2**20  # Characters of a template: far more than any has.


WRITTEN_ON = datetime.datetime(2024, 7, 26)
"""The day on which templates write the texts of tasks: these are the same on any day,
so that a run resumes tomorrow. It is Llama 3's own, where nobody knows the day."""


class Turn(NamedTuple):
    """What one side says.

    Attributes:
        role: "system", "user" or `ASSISTANT`.
        content: The text.
    """

    role: str
    content: str


class Spoken(NamedTuple):
    """A conversation up to an answer of the assistant, as the template writes it.

    Attributes:
        asked: What the model reads: all that stands in front of the answer.
        said: What the assistant says, as the template writes it.
        behind: What ends the answer.
    """

    asked: str
    said: str
    behind: str


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
    """A template over the turns of a conversation.

    Attributes:
        source: Jinja, as transformers reads it.
        names: How special tokens are written, by the names that templates use, such as
            "bos_token".
        place: The file that it came from, for error messages.
    """

    source: str
    names: Mapping[str, str]
    place: Path

    def __post_init__(self) -> None:
        if len(self.source) > _LONGEST:
            raise ValueError(
                f"{quoted_path(self.place)}: its chat template has "
                f"{len(self.source):,} characters, where {_LONGEST:,} are plenty"
            )

    def write(
        self,
        turns: Sequence[Turn],
        *,
        answer: bool = False,
        now: datetime.datetime = WRITTEN_ON,
        **settings: Any,
    ) -> str:
        """Writes a conversation as text.

        The text holds beginning-of-sequence where the template does: encode it without
        any other special tokens.

        Args:
            turns: The turns.
            answer: Whether the text goes on to where the assistant's next turn begins.
            now: What a template takes for today that writes a date, as Llama 3.2's.
            **settings: Further names that the template knows, as `enable_thinking`.

        Raises:
            ValueError: If the template is no Jinja, or refuses the conversation, as one
                without a system role does that gets one.
        """
        # Imported here, as tasks without a conversation do not need it.
        import jinja2

        try:
            return _compiled(self.source).render(
                messages=[turn._asdict() for turn in turns],
                add_generation_prompt=answer,
                strftime_now=now.strftime,
                **self.names,
                **{"tools": None, "documents": None, **settings},
            )
        except jinja2.TemplateSyntaxError as err:
            raise self._unusable(f"line {err.lineno}: {err.message}") from err
        # A template can fail in any way that Python has.
        except Exception as err:
            raise self._unusable(str(err)) from err

    def speak(self, turns: Sequence[Turn], **settings: Any) -> Spoken:
        """Parts a conversation where its last turn, the assistant's, begins.

        What is asked is the text that the model gets to read when it is to answer: a
        template may write an answer otherwise once others follow it.

        Args:
            turns: The turns.
            **settings: As for `write`.

        Raises:
            ValueError: As `write`; or if the template does not write an answer behind
                what is asked, or changes its words.
        """
        asked = self.write(turns[:-1], answer=True, **settings)
        whole = self.write(turns, **settings)
        if not whole.startswith(asked):
            raise self._unusable(
                "it writes an answer otherwise than behind what is asked, so that none "
                "can be learned: use another model's"
            )
        content, behind = turns[-1].content, self._behind_an_answer
        said = whole[len(asked) :].removesuffix(behind)
        ends = said + behind == whole[len(asked) :]
        # Some templates trim what is said.
        if ends and said.endswith((content, content.strip())):
            return Spoken(asked, said, behind)
        raise self._unusable(f"it changes what the assistant says, {quoted(content)}")

    @functools.cached_property
    def _behind_an_answer(self) -> str:
        """What the template writes behind the words of the last turn."""
        turns = [Turn("user", "?"), Turn(ASSISTANT, _mark_of(0))]
        return self.write(turns).rpartition(_mark_of(0))[2]

    def as_template(self, turns: Sequence[Turn]) -> str:
        """Writes what is asked of an assistant as a template over the fields of a row.

        What stands in braces, such as "{text}" and "{slots:20}", stands where the model
        expects it, and the text goes on to where the answer begins. So soft tokens may
        be the system's turn, between the words that mark it.

        Args:
            turns: The turns; braces in their contents are those of
                `data.read.template.Template`.

        Raises:
            ValueError: As `write`; if braces do not match, or if the template leaves a
                turn out.
        """
        fields: list[str] = []
        marked = [turn._replace(content=_mark(turn.content, fields)) for turn in turns]
        text = self.write(marked, answer=True).replace("{", "{{").replace("}", "}}")
        for number, field in enumerate(fields):
            if _mark_of(number) not in text:
                raise self._unusable(f"it leaves {field} out")
            text = text.replace(_mark_of(number), field)
        return text

    def turn_end(self, vocabulary: Vocabulary) -> int:
        """Returns the id by which the assistant ends a turn.

        Raises:
            ValueError: As `speak`; or if no token ends the assistant's turns.
        """
        turns = [Turn("user", "?"), Turn(ASSISTANT, "!")]
        behind = vocabulary.encode(self.speak(turns).behind)
        ends = [token for token in behind if token in vocabulary.end_ids]
        if not ends:
            raise self._unusable(
                f"nothing ends the turn of {ASSISTANT!r}: the model would learn to "
                "write on"
            )
        return ends[0]

    def _unusable(self, why: str) -> ValueError:
        why = " ".join(why.split())
        return ValueError(
            f"{quoted_path(self.place)}: its chat template cannot write this: {why}"
        )


def ask_by_roles(
    vocabulary: Vocabulary, roles: Mapping[str, str]
) -> tuple[str, Vocabulary]:
    """Writes what a task asks as the turns of a conversation, by the model's template.

    Args:
        vocabulary: The model's vocabulary, beside which its chat template is.
        roles: Role -> what it says, in order; see `ChatTemplate.as_template`.

    Returns:
        The template of a row's input text; and the vocabulary, in which an answer ends
        as the assistant's turn does, and a text begins as the template writes it.

    Raises:
        ValueError: If the model has no chat template, or it cannot write these roles.
    """
    template = template_beside(vocabulary, f"roles {listed(roles)}")
    turns = [Turn(role, content) for role, content in roles.items()]
    text = template.as_template(turns)
    ending = vocabulary.ending_with(template.turn_end(vocabulary))
    return text, ending.without_bos()


def template_beside(vocabulary: Vocabulary, asked: str) -> ChatTemplate:
    """Returns the chat template of a vocabulary's model.

    Args:
        vocabulary: The model's vocabulary.
        asked: What is to be written by it, for the error.

    Raises:
        ValueError: If the model has none.
    """
    place = vocabulary.place
    template = None if place is None else read_chat_template(place)
    if template is None:
        raise ValueError(
            f"no chat template beside the vocabulary {place}, so {asked} cannot be "
            "written: take an instruct model, or give the text itself by OwnTask.inputs"
        )
    return template


def read_chat_template(path: str | Path) -> ChatTemplate | None:
    """Reads the chat template beside, or inside, a model's vocabulary.

    Args:
        path: A GGUF file; or a folder with chat_template.jinja,
            tokenizer_config.json or chat_template.json, or a file in it.

    Returns:
        The template; None if the model has none, as one that is no assistant.

    Raises:
        FileNotFoundError: If there is no such GGUF file.
        ValueError: If a file is unsound.
    """
    path = Path(path)
    if is_gguf(path):
        return _of_gguf(path)
    folder = path if path.is_dir() else path.parent
    settings = read_settings(folder / _SETTINGS)
    tokens = {**read_settings(folder / "special_tokens_map.json"), **settings}
    names = {name: _written(tokens[name]) for name in _NAMES if tokens.get(name)}
    if (folder / _FILE).is_file():
        source = (folder / _FILE).read_text(encoding="utf-8")
        return ChatTemplate(source, names, folder / _FILE)
    place, source = folder / _SETTINGS, settings.get("chat_template")
    if source is None:
        place = folder / _OF_PROCESSOR
        source = read_settings(place).get("chat_template")
    if isinstance(source, list):
        named = {
            x.get("name"): x.get("template") for x in source if isinstance(x, Mapping)
        }
        source = named.get("default")
    if source is None:
        return None
    if not isinstance(source, str):
        raise ValueError(
            f"{quoted_path(place)}: chat_template {quoted(source)} is no text: fetch "
            "it again"
        )
    return ChatTemplate(source, names, place)


def _mark(content: str, fields: list[str]) -> str:
    """Puts a mark in the place of each field, which is added to `fields`."""
    try:
        parts = list(string.Formatter().parse(content))
    except ValueError as err:
        raise ValueError(f"template {content!r}: {err}: write {{field}}") from err
    marked = ""
    for words, name, form, conversion in parts:
        marked += words
        if name is not None:
            marked += _mark_of(len(fields))
            kind = f"!{conversion}" if conversion else ""
            fields.append(f"{{{name}{kind}{':' if form else ''}{form}}}")
    return marked


def _mark_of(number: int) -> str:
    """Returns what no template changes: a number between characters of no script."""
    return f"\ue000{number}\ue001"


def _of_gguf(path: Path) -> ChatTemplate | None:
    from jaxprompt.models.weights.gguf_tokenizer import read_tokenizer

    read = read_tokenizer(path)
    if read.chat_template is None:
        return None
    end = read.ends[0] if read.ends else None
    ids = (read.begin, end, read.unknown, read.pad)
    names = {
        name: read.tokens[number]
        for name, number in zip(_NAMES, ids, strict=True)
        if number is not None
    }
    return ChatTemplate(read.chat_template, names, path)


def _written(token: Any) -> str:
    """Returns how a token is written; some files hold more than its text."""
    return str(token.get("content")) if isinstance(token, Mapping) else str(token)


@functools.cache
def _compiled(source: str) -> Any:
    """Compiles a template once for all conversations that it writes."""
    return _sandbox().from_string(source)


def _sandbox() -> Any:
    """Makes what renders a template: it came with a model, so it is not trusted.

    Source: `_compile_jinja_template` of transformers 5.23.
    """
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """The tag by which some templates mark what the assistant says."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Any) -> Any:
            """Returns what is between the tags."""
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    def fail(why: str) -> None:
        raise jinja2.TemplateError(why)

    def to_json(value: Any, indent: int | None = None, **_: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    sandbox = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[jinja2.ext.loopcontrols, Generation],
    )
    sandbox.filters["tojson"] = to_json
    sandbox.globals["raise_exception"] = fail
    return sandbox
