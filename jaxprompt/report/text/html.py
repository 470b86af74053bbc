"""Fills in the HTML templates: text is text and never markup, and no name is missed."""

import jinja2

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("jaxprompt.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> bytes:
    """Makes a page, in UTF-8.

    Args:
        template: Name of a file in templates/.
        values: What it needs.
    """
    return _TEMPLATES.get_template(template).render(**values).encode()
