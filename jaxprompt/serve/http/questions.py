"""What a request asks: prompts by their names, and texts laid out behind them."""

from collections.abc import Sequence

from jaxprompt.data.tasks.verbalizer import Verbalizer
from jaxprompt.screen.quoting import cut, listed, visible
from jaxprompt.serve.bank import Named, Way
from jaxprompt.serve.http.answers import AskedText, ScoreQuestion
from jaxprompt.serve.http.requests import Refused
from jaxprompt.serve.http.served import Served
from jaxprompt.serve.http.vote import TOGETHER
from jaxprompt.serve.texts import Headed, Text

_MOST_VOTERS = 16
"""Prompts that vote on one answer."""


class Questions:
    """What can be asked of the prompts that are served; all else is refused."""

    def __init__(self, served: Served):
        """Takes what is served."""
        self._served = served

    def find(self, model: str) -> Named | None:
        """Returns the prompt of a name; None for the model alone."""
        served = self._served
        if model == served.model:
            return None
        name = model.removeprefix(f"{served.model}:")
        if name not in served.bank.prompts:
            raise self.unknown(model)
        return served.bank.prompts[name]

    def unknown(self, model: str) -> Refused:
        """Returns what is told where a name is that of nothing."""
        known = listed([self._served.model, *sorted(self._served.bank.prompts)])
        return Refused(
            f"no model or prompt {_shown(model)}: there are {known}",
            status=404,
            field="model",
            code="model_not_found",
        )

    def voters(self, model: str) -> list[str]:
        """Returns the names that are asked together, as of "a+b+c"."""
        if model == self._served.model or TOGETHER not in model:
            return [model]
        names = model.split(TOGETHER)
        if len(names) > _MOST_VOTERS:
            raise Refused(
                f"{len(names)} prompts to vote: name up to {_MOST_VOTERS}",
                field="model",
            )
        return names

    def verbalizer(self, model: str, labels: Sequence[str] | None) -> Verbalizer:
        """Returns the words to choose from: the client's, or those of the task."""
        if labels:
            return Verbalizer(tuple((label,) for label in labels))
        ways = [self._way(name) for name in self.voters(model)]
        known = [way.layout.verbalizer for way in ways if way.layout.verbalizer]
        if len(known) < len(ways):
            raise Refused(
                f"the task of {_shown(model)} has no labels: give some", field="labels"
            )
        if any(other.labels != known[0].labels for other in known):
            raise Refused(
                f"the tasks of {_shown(model)} have other labels each: give some",
                field="labels",
            )
        return known[0]

    def in_words(
        self, model: str, texts: Sequence[Text], field: str, *, chat: bool = False
    ) -> list[AskedText]:
        """Lays each text out behind each prompt that is asked together.

        Args:
            model: The prompts' names.
            texts: What is asked of each.
            field: The field of the request that holds the texts.
            chat: Whether they are conversations, which no task's template is put
                around.
        """
        return [
            self._question(name, text, where, chat)
            for text, where in zip(texts, _places(field, len(texts)), strict=True)
            for name in self.voters(model)
        ]

    def head_of(self, model: str, labels: Sequence[str] | None) -> Headed | None:
        """Returns how heads lay texts out; None where the prompts answer in words.

        Args:
            model: The prompts' names.
            labels: Those of the request, for which a head has no place.
        """
        names = self.voters(model)
        prompts = [self.find(name) for name in names]
        heads = [named.scored for named in prompts if named and named.scored]
        if not heads:
            return None
        first = heads[0].layout
        answers = [head.layout.answers for head in heads]
        alike = {(one.labels, one.of_words) for one in answers}
        if len(heads) < len(names) or len(alike) > 1:
            raise Refused(
                f"{_shown(model)} has heads of other labels, or prompts without one: "
                "ask each alone",
                field="model",
            )
        if labels is not None:
            raise Refused(
                f"{_shown(model)} answers by a head of its own: leave labels out",
                field="labels",
            )
        if len(names) > 1 and not first.is_voted_on:
            raise Refused(
                f"{_shown(model)} answers by heads of {first.answers.kind}, which are "
                "not voted on: ask one alone",
                field="model",
            )
        return first

    def to_score(
        self, model: str, texts: Sequence[Text], field: str
    ) -> list[ScoreQuestion]:
        """Lays each text out for the head of each prompt that is asked together."""
        found: list[ScoreQuestion] = []
        engine, most = self._served.labels, self._served.scheduler.most_scored
        for text, where in zip(texts, _places(field, len(texts)), strict=True):
            for name in self.voters(model):
                named = self.find(name)
                if named is None or named.scored is None:
                    raise self.unknown(name)  # It was replaced meanwhile.
                try:
                    laid = named.scored.layout.lay(text, where)
                except ValueError as error:
                    raise Refused(str(error), field=where) from error
                rows = engine.rows_of(named.scored.member, laid.batch)
                found.append(ScoreQuestion(named.name, rows, laid, named.tokens))
        windows = sum(len(one.rows) for one in found)
        if windows > most:
            raise Refused(
                f"{field} is {windows} texts and windows to read, but {most} may wait "
                "at once: send fewer or shorter texts",
                field=field,
            )
        return found

    def _way(self, model: str, *, chat: bool = False) -> Way:
        named = self.find(model)
        way = self._served.bare_chat if chat else self._served.bare
        if named is not None:
            way = named.plain if chat else named.asked
        if way is None:
            raise Refused(
                f"{_shown(model)} writes no words: ask /v1/classify of a prompt with a "
                "head",
                field="model",
            )
        return way

    def _question(self, model: str, text: Text, field: str, chat: bool) -> AskedText:
        served, named = self._served, self.find(model)
        name = served.model if named is None else named.name
        way = self._way(model, chat=chat)
        asked = named and named.asked
        if chat and asked and not asked.layout.takes_chat:
            raise Refused(
                f"{name} was trained with words in front of its soft tokens, so no "
                "conversation stands behind them: use /v1/completions",
                field=field,
            )
        try:
            laid = way.layout.lay(text, field)
        except ValueError as error:
            raise Refused(str(error), field=field) from error
        lead = way.ready.lead
        if tuple(laid.ids[: len(lead)]) != lead:
            raise Refused(
                f"{field} is written out, but the template of {name} has words in "
                f"front of its soft tokens: send {listed(way.layout.fields)} instead",
                field=field,
            )
        row = laid.ids[len(lead) :]
        soft = 0 if named is None else named.tokens
        if served.engine.room(way.ready, row) < 1:
            raise Refused(
                f"{soft} tokens of the prompt and {laid.words} of the text leave no "
                f"room for an answer in {served.engine.capacity}: send a shorter text",
                field=field,
                code="context_length_exceeded",
            )
        return AskedText(name, way, row, laid.words, soft, laid.cut)


def _shown(model: str) -> str:
    return repr(cut(visible(model), most=100))


def _places(field: str, count: int) -> list[str]:
    """Returns what errors call each of a field's values."""
    return [field] if count == 1 else [f"{field}[{n}]" for n in range(count)]
