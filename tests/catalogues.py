"""The catalogues of translations: `python -m tests.catalogues` adds new sentences and compiles.

Sentences are read from the syntax trees of Python and of Django's templates, so nothing that is
written is missed, and the program xgettext is not needed.
"""

import ast
import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from babel.messages import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django import setup
from django.template import Engine
from django.template.base import Node
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

import authx
from tests.source_code import AUTHX, ROOT, calls_in, named

LANGUAGES: Final = ("ar", "de", "es", "fr", "ja", "pt")
LOCALE: Final = ROOT / "authx" / "locale"
TEMPLATES: Final = sorted(path for path in ROOT.glob("authx/**/templates/**/*") if path.is_file())
LIBRARIES: Final = {"i18n": "django.templatetags.i18n"}
# The positions of context, singular and plural among the arguments of each function.
FUNCTIONS: Final = {
    "_": (None, 0, None),
    "gettext": (None, 0, None),
    "gettext_lazy": (None, 0, None),
    "ngettext": (None, 0, 1),
    "pgettext": (0, 1, None),
    "npgettext": (0, 1, 2),
}


class Sentence(NamedTuple):
    """What a catalogue translates."""

    singular: str
    plural: str | None = None
    context: str | None = None

    @property
    def key(self) -> Any:
        return (self.singular, self.plural) if self.plural else self.singular


def in_python(source: str) -> Iterator[Sentence]:
    """Yield the sentences of a source; raises IndexError or ValueError for one that is computed."""
    for call in calls_in(ast.parse(source)):
        positions = FUNCTIONS.get(ast.unparse(call.func))
        if positions and call.args:
            texts = [None if at is None else ast.literal_eval(call.args[at]) for at in positions]
            context, singular, plural = texts
            yield Sentence(str(singular), plural, context)


def in_template(source: str) -> Iterator[Sentence]:
    """Yield the sentences of a template."""
    for node in _nodes(Engine(libraries=LIBRARIES).from_string(source).nodelist):
        if isinstance(node, TranslateNode):
            yield Sentence(str(node.filter_expression.var.literal))
        if isinstance(node, BlockTranslateNode):
            yield Sentence(node.render_token_list(node.singular)[0])


def _nodes(nodes: Any) -> Iterator[Node]:
    for node in nodes:
        yield node
        for name in node.child_nodelists:
            yield from _nodes(getattr(node, name, None) or [])


def sentences() -> dict[Sentence, list[str]]:
    """Return every sentence of the package, with the files that contain it."""
    found: dict[Sentence, list[str]] = defaultdict(list)
    for paths, read in ((AUTHX, in_python), (TEMPLATES, in_template)):
        for path in paths:
            for sentence in read(path.read_text()):
                if named(path) not in found[sentence]:
                    found[sentence].append(named(path))
    return found


def catalogue_path(language: str, suffix: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"django.{suffix}"


def read_catalogue(language: str) -> Catalog:
    with catalogue_path(language, "po").open("rb") as file:
        return read_po(file, locale=language)


def sentence_of(message: Message) -> Sentence:
    if isinstance(message.id, str):
        return Sentence(message.id, None, message.context)
    return Sentence(message.id[0], message.id[1], message.context)


def compiled(language: str) -> bytes:
    """Return what a catalogue compiles to."""
    output = io.BytesIO()
    write_mo(output, read_catalogue(language))
    return output.getvalue()


def update(language: str, translations: dict[Sentence, Any] | None = None) -> None:
    """Write a catalogue with all sentences and with no other; new ones have no translation."""
    known = dict(translations or {})
    if catalogue_path(language, "po").exists():
        for message in read_catalogue(language):
            known.setdefault(sentence_of(message), message.string)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    catalogue = Catalog(
        locale=language,
        project="drf-device-sessions",
        version=authx.__version__,
        msgid_bugs_address="",
        last_translator="the authors of drf-device-sessions",
        language_team=language,
        header_comment="# Translations of authx; python -m tests.catalogues adds new sentences.",
        creation_date=now,
        revision_date=now,
        fuzzy=False,
    )
    for sentence, files in sorted(sentences().items(), key=lambda item: (item[1], item[0][0])):
        locations: Any = [(file, None) for file in files]
        catalogue.add(
            sentence.key, known.get(sentence), locations=locations, context=sentence.context
        )
    catalogue_path(language, "po").parent.mkdir(parents=True, exist_ok=True)
    with catalogue_path(language, "po").open("wb") as file:
        write_po(file, catalogue, width=100, include_lineno=False)
    catalogue_path(language, "mo").write_bytes(compiled(language))


if __name__ == "__main__":
    # The templates of Django's own apps need it.
    setup()
    for name in LANGUAGES:
        update(name)
