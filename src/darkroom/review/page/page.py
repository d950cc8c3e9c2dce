"""A page as one file that works from file://: its template, its data, its links.

`page.html.j2` is what every page has: the order of its script's files, its style, the viewer of one picture. A page's
own template extends it. The script lies in script/: basis/ (layout, grid, finding, address, toolbar), viewer/ (one
picture or two on a stage), sheet/ and pairs/ (the two views), choosing/ (marks, votes); basis/interface.js.j2 says how
they meet.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from darkroom.display import on_page
from darkroom.files.atomic import atomic


def write_page(path: Path, template: str, values: Mapping[str, Any]) -> None:
    """Write a template of this folder with these values, whole or not at all."""
    environment = Environment(
        loader=PackageLoader("darkroom.review", ""),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # a file of the script may end with a comment
    )
    text = environment.get_template(template).render(values)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def link_from(folder: Path, path: str | Path) -> str:
    """The address of a file for a page in `folder`: relative, so that both may move together."""
    return quote(os.path.relpath(path, folder).replace(os.sep, "/"))


def distinct(rows: Sequence[Mapping[str, Any]], *names: str) -> str:
    """The different values of some columns, in order of appearance: all if they are few, else their number."""
    values = list(dict.fromkeys(" ".join(str(row[name]) for name in names if row[name] is not None) for row in rows))
    return ", ".join(values) if len(values) <= 6 else str(len(values))


def script_json(value: Any) -> Markup:
    """JSON for a <script> element: no character in it can end the element or begin a comment or an entity."""
    text = json.dumps(_shown(value), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _shown(value: Any) -> Any:
    """Every text in it without what would turn around what is read beside it, or be seen as nothing."""
    match value:
        case Markup():
            return value
        case str():
            return on_page(value)
        case Mapping():
            return {_shown(key): _shown(each) for key, each in value.items()}
        case list() | tuple():
            return [_shown(each) for each in value]
        case _:
            return value
