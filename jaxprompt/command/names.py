"""The names that gin text sets: which there are, and which values they can have."""

import dataclasses
import re
import tokenize
from typing import Any, Literal, get_origin, get_type_hints

from gin import config_parser

from jaxprompt.command.gin_files import (
    DEFAULTS,
    check_depth,
    find_gin_file,
    meant_gin_file,
)
from jaxprompt.config import CONFIGURABLES
from jaxprompt.config.renamed import check_renamed
from jaxprompt.field_types import choices_of, described
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.screen.quoting import cut, quoted, visible
from jaxprompt.screen.suggest import closest, did_you_mean

MALFORMED = (
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    # RecursionError too: values in values, and names that stand for each other.
    RuntimeError,
    MemoryError,
    OSError,
)
"""What gin raises at text that it cannot read, or cannot make anything of."""

_QUOTES = "'\""

_PLAIN = {"int": "a whole number", "float": "a number", "bool": "True or False"}
"""Types in words."""

_CLASSES = {kind.__name__: kind for kind in CONFIGURABLES}


@dataclasses.dataclass(frozen=True)
class _Macro:
    """%NAME, which stands for the value of another name."""

    name: str


@dataclasses.dataclass(frozen=True)
class Names:
    """The names (macros) that gin text sets.

    Attributes:
        values: Name -> its last value; None for what is made when it is used.
        places: Name -> what takes its value: fields, as "Pace.steps", and names.
    """

    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    places: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def read(self, text: str, where: str, depth: int = 0) -> None:
        """Reads gin text, and makes nothing of it.

        Args:
            text: The text.
            where: What it is called in errors.
            depth: How many files include it.

        Raises:
            FileNotFoundError: If an included file is nowhere.
            ValueError: If a name is misspelt, or text is not gin. gin's own imports are
                refused: a configuration chooses values, it loads no code.
        """
        check_depth(depth, where)
        try:
            statements = list(config_parser.ConfigParser(text, _NoReferences()))
        except MALFORMED as error:
            raise ValueError(f"{where}: {one_line(error)}") from error
        for statement in statements:
            match statement:
                case config_parser.ImportStatement():
                    raise ValueError(
                        f"{where}: it imports {statement.module}, but a configuration "
                        "may not load code: remove the import"
                    )
                case config_parser.IncludeStatement():
                    path = find_gin_file(statement.filename)
                    self.read(read_utf8(path), str(path), depth + 1)
                case config_parser.BindingStatement():
                    try:
                        self._bind(statement)
                    except ValueError as error:
                        raise ValueError(f"{where}: {error}") from error

    def statement(self, setting: str) -> str:
        """Writes one "NAME=value" of the command line as gin text.

        A value that is not one of gin's is a text where the name takes a text.

        Args:
            setting: As it stands behind "--gin.".

        Raises:
            ValueError: If the name is not known here, or cannot have the value.
        """
        name, equals, value = setting.partition("=")
        said, said_value = (cut(visible(text), most=100) for text in (name, value))
        asked = f"--gin.{said}"
        if not equals:
            raise ValueError(f"{asked} has no value: write {asked}=VALUE")
        check_renamed(name)
        selector, dot, field = name.rpartition(".")
        if dot:
            check_name(selector)
            _check_field(selector, field)
        elif name not in self.values:
            raise ValueError(f"no name {said} in the gin files: {self._meant(name)}")
        line = f"{name} = {value}"
        try:
            config_parser.ConfigParser(line, _NoReferences()).parse_statement()
        except MALFORMED as error:
            hints = self._hints(name)
            if not value.strip():
                raise ValueError(
                    f"{asked} has an empty value: write {asked}=VALUE, or "
                    f"{asked}=\"''\" for an empty text"
                ) from error
            if self._takes_text(name, hints):
                if value[0] in _QUOTES:
                    raise ValueError(
                        f"{asked}={said_value}: its quotes do not match: leave them out"
                    ) from error
                return f"{name} = {value!r}"
            raise ValueError(
                f"{asked}={said_value}: {said_value} is not a value"
                f"{self._fix(name, value, hints)}"
            ) from error
        return line

    def _bind(self, statement: config_parser.BindingStatement) -> None:
        """Notes what a line sets, once its names are checked."""
        selector, field = statement.selector, statement.arg_name
        if field:
            check_name(selector)
            check_renamed(f"{selector}.{field}")
            _check_field(selector, field)
        else:
            check_renamed(selector)
            self.values[selector] = statement.value
        if isinstance(statement.value, _Macro):
            place = f"{selector}.{field}" if field else selector
            self.places.setdefault(statement.value.name, []).append(place)

    def _meant(self, name: str) -> str:
        """Says which name a misspelt one may be, or which there are."""
        if name in default_names().values:
            return f"it is one of {DEFAULTS}: give that first, as --gin_file={DEFAULTS}"
        fields = {
            field.name: f"{kind.__name__}.{field.name}"
            for kind in reversed(CONFIGURABLES)
            for field in dataclasses.fields(kind)
        }
        for alike in (1.0, 0.6):
            if found := closest(name, self.values, alike=alike):
                return f"did you mean {found}?"
            if found := closest(name, fields, alike=alike):
                return f"did you mean {fields[found]}?"
        return f"there are {', '.join(sorted(self.values))}"

    def _hints(self, name: str) -> list[Any]:
        """Returns the types of all fields that take a name's value."""
        places = [name]
        for place in places:  # It grows: a name may take its value from another.
            new = self.places.get(place, [])
            places += [other for other in new if other not in places]
        split = [_own(place).partition(".") for place in places]
        found = [_hints_of(selector).get(field) for selector, _, field in split]
        return [hint for hint in found if hint is not None]

    def _fix(self, name: str, value: str, hints: list[Any]) -> str:
        """Says what a name takes that cannot take a value."""
        now = self.values.get(name)
        example = f", as {now}" if type(now) in (int, float) else ""
        kinds = dict.fromkeys(_PLAIN.get(described(x), described(x)) for x in hints)
        if any(map(_is_part, hints)) and (found := meant_gin_file(value)):
            return f"; did you mean --gin_file={found}?"
        if not (kinds or example):
            text = cut(visible(value.strip(_QUOTES)), most=100)
            return f"; text needs quotes of its own: --gin.{name}=\"'{text}'\""
        return f": {name} must be {' or '.join(kinds) or 'a number'}{example}"

    def _takes_text(self, name: str, hints: list[Any]) -> bool:
        """Whether a text may be a name's value."""
        if hints:
            return any(map(_allows_text, hints))
        # What stands in a list or a table alone is of the kind that it was.
        return isinstance(self.values.get(name), str)


def default_names() -> Names:
    """Returns the names that `DEFAULTS` sets."""
    names = Names()
    names.read(read_utf8(find_gin_file(DEFAULTS)), DEFAULTS)
    return names


class _NoReferences(config_parser.ParserDelegate):
    """Reads values without making anything of them."""

    def configurable_reference(
        self, scoped_configurable_name: str, evaluate: bool
    ) -> None:
        """Refuses @Name of another library: t5 and seqio have gin names too."""
        del evaluate
        check_name(scoped_configurable_name)

    def macro(self, macro_name: str) -> Any:
        """Notes %NAME."""
        return _Macro(macro_name)


def check_name(name: str) -> None:
    """Raises ValueError unless it is one of this project's own, in any scope."""
    if _own(name) not in _CLASSES:
        meant = did_you_mean(_own(name), _CLASSES)
        raise ValueError(
            f"No configurable matching {quoted(name)}: "
            f"{meant or 'there are ' + ', '.join(_CLASSES)}"
        )


def one_line(error: BaseException) -> str:
    """Returns what an error says, and which configurable says it.

    gin puts that behind the error, with all the others that wait for it.
    """
    if isinstance(error, RecursionError | MemoryError):
        return "values in values, or names that stand for each other, without an end"
    said, *calls = str(error).split("\n  In call to configurable ")
    if unset := re.match(r"'macro' .* in scope '(?:.*/)?(\w+)'", "".join(calls[:1])):
        return f"%{unset[1]} has no value: no gin file sets {unset[1]}"
    if calls and (name := calls[0].split("'")[1]) not in said:
        said = f"{name}: {said}"
    return cut(visible(" ".join(said.split())), most=1000)


def _check_field(selector: str, field: str) -> None:
    fields = [one.name for one in dataclasses.fields(_CLASSES[_own(selector)])]
    if field not in fields:
        meant = did_you_mean(field, fields) or f"it has {', '.join(fields)}"
        raise ValueError(
            f"{_own(selector)} doesn't have a parameter named {quoted(field)}: {meant}"
        )


def _own(name: str) -> str:
    """Returns a name without scope and module."""
    return name.rpartition("/")[2].removeprefix("jaxprompt.")


def _hints_of(selector: str) -> dict[str, Any]:
    return get_type_hints(_CLASSES[selector]) if selector in _CLASSES else {}


def _allows_text(hint: Any) -> bool:
    return any(kind is str or get_origin(kind) is Literal for kind in choices_of(hint))


def _is_part(hint: Any) -> bool:
    """Whether a field takes one of the configurables."""
    return any(kind in CONFIGURABLES for kind in choices_of(hint))
