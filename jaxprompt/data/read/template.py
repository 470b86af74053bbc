"""Templates over the fields of a row, as "review: {text}"."""

import string

from jaxprompt.data.read.files import Row, field_text


class Template:
    """Text with "{field}" for the value of a row's field; "{{" is a brace."""

    def __init__(self, text: str):
        """Parses a template.

        Raises:
            ValueError: If braces do not match, or name no field.
        """
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as err:
            raise ValueError(f"template {text!r}: {err}: write {{field}}") from err
        for _, name, spec, conversion in parts:
            if name is not None and (not name or spec or conversion):
                raise ValueError(
                    f"template {text!r}: braces hold a field's name and nothing else: "
                    "write {field}, and {{ for a brace"
                )
        self._parts = [(literal, name) for literal, name, _, _ in parts]

    def fill(self, row: Row) -> str:
        """Returns the text of a row; ValueError if a field is missing."""
        return "".join(
            literal + (field_text(row, name) if name else "")
            for literal, name in self._parts
        )
