"""Makes the docs site of the pages as they stand in the repository; see mkdocs.yml.

Pages link to each other, and to other files, as the repository has them, so that every
link works where the repository is read. On the site the README is the first page, a
notebook a page of its cells, and any other file that a page links to a page that shows
it; links are turned to these. What a link names must exist: mkdocs tells what does not.
"""

import functools
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

FRONT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that do not lie in docs/ -> their place on the site."""

SHOWN = "files/"
"""Where on the site the files are that pages link to."""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
"""The file that a Markdown link goes to, if it goes to one."""

_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
"""What looks like a link in it is none."""

_FENCE = "`" * 8
"""Longer than any in a file that is shown."""


@functools.cache
def pages() -> dict[str, str]:
    """Returns each page of the repository and its place on the site.

    Both are paths with "/", from the repository's root and from that of the site.
    """
    docs = REPOSITORY / "docs"
    found = [*docs.rglob("*.md"), *docs.rglob("*.ipynb")]
    inside = {
        path.relative_to(REPOSITORY).as_posix(): path.relative_to(docs)
        .with_suffix(".md")
        .as_posix()
        for path in sorted(found)
    }
    return {**FRONT, **inside}


def linked(page: str) -> Iterator[str]:
    """Yields what a page links to, as paths from the repository's root.

    Args:
        page: Its path from there.
    """
    for target in _LINK.findall(_CODE.sub("", read_page(page))):
        yield _resolved(page, target)


def read_page(page: str) -> str:
    """Returns the Markdown of a page; of a notebook, that of its cells."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    if not page.endswith(".ipynb"):
        return text
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        is_code = cell["cell_type"] == "code"
        parts.append(f"```python\n{source}\n```" if is_code else source)
    return "\n\n".join(parts) + "\n"


def place_of(path: str) -> str | None:
    """Returns where on the site a file or folder of the repository is.

    Args:
        path: Its path from the repository's root; "" is no file of it.

    Returns:
        None if there is no such file or folder.
    """
    if path in pages():
        return pages()[path]
    there = REPOSITORY / path
    if path.startswith("docs/") and there.is_file():
        return path.removeprefix("docs/")  # Mkdocs copies it as it is.
    if path.startswith("..") or not there.exists():
        return None
    return f"{SHOWN}{path}{'/index' if there.is_dir() else ''}.md"


def with_site_links(page: str, markdown: str) -> str:
    """Turns a page's links to what they name on the site.

    Args:
        page: Its path from the repository's root.
        markdown: Its text.
    """
    folder = posixpath.dirname(pages()[page])

    def turned(link: re.Match[str]) -> str:
        place = place_of(_resolved(page, link[0]))
        return link[0] if place is None else posixpath.relpath(place, folder or ".")

    return _LINK.sub(turned, markdown)


def show_file(path: str) -> str:
    """Returns a page that shows a file of the repository, or lists a folder's files."""
    there = REPOSITORY / path
    head = f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n"
    if there.is_dir():
        names = sorted(one.relative_to(there).as_posix() for one in _files_in(there))
        return head + "".join(f"- [{name}]({name}.md)\n" for name in names)
    text = there.read_text(encoding="utf-8").rstrip("\n")
    return f"{head}{_FENCE}{there.suffix.removeprefix('.')}\n{text}\n{_FENCE}\n"


def shown_files() -> list[str]:
    """Returns the files and folders that need a page, for some page links to them."""
    found = set[str]()
    for page in pages():
        for path in linked(page):
            if (place_of(path) or "").startswith(SHOWN):
                found.add(path)
                if (REPOSITORY / path).is_dir():
                    found |= {
                        one.relative_to(REPOSITORY).as_posix()
                        for one in _files_in(REPOSITORY / path)
                    }
    return sorted(found)


def _files_in(folder: Path) -> Iterator[Path]:
    return (one for one in folder.rglob("*") if one.is_file())


def _resolved(page: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def on_files(files: Any, config: Any) -> Any:
    """Adds what does not lie in docs/; called by mkdocs, as `on_page_markdown`."""
    from mkdocs.structure.files import File

    for page, place in pages().items():
        if not page.startswith("docs/") or page.endswith(".ipynb"):
            files.append(File.generated(config, place, content=read_page(page)))
    for path in shown_files():
        place = str(place_of(path))
        files.append(File.generated(config, place, content=show_file(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns the links of a page that stands in the repository."""
    origins: Mapping[str, str] = {place: path for path, place in pages().items()}
    origin = origins.get(page.file.src_uri)
    return markdown if origin is None else with_site_links(origin, markdown)
