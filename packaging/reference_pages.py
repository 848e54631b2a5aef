"""The parts of the reference that are written from the code: the commands, the Python API, the JSON documents."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import typer.main

import vlm4rec_edge
from vlm4rec_edge.cli.app import make_app
from vlm4rec_edge.documents import PRINTED, schema
from vlm4rec_edge.serve.answers import SCHEMAS
from vlm4rec_edge.serve.errors import MEANINGS
from vlm4rec_edge.serve.operations import OPERATIONS
from vlm4rec_edge.serve.reference import kind_of

_SECTIONS = ("Args", "Returns", "Yields", "Raises", "Attributes", "Example", "Examples")
# Longer signatures have a line for each parameter.
_WIDTH = 88
_TITLES = {"Args": "Takes", "Attributes": "Holds"}


def commands_page() -> str:
    """Return every command with its help, its arguments and its options."""
    commands = _commands(typer.main.get_command(make_app()))
    return "\n".join(part for path, command in commands for part in _command(path, command))


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", {})
    if path and not below:
        yield path, command
    for name, one in below.items():
        yield from _commands(one, (*path, name))


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    name = " ".join(path)
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    usage = " ".join(f"{one.make_metavar(_context(command))}" for one in arguments)
    yield f"\n## {name}\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            lines = inspect.cleandoc(paragraph.removeprefix("\b")).splitlines()
            shown = [line.strip() for line in lines if line.strip().startswith("vlm4rec-edge")]
            yield "```text\n" + "\n".join(shown) + "\n```\n"
        else:
            yield _plain(" ".join(paragraph.split())) + "\n"
    yield f"`vlm4rec-edge {name} {usage} [OPTIONS]`\n".replace("  ", " ")
    if names := PRINTED.get(name):
        yield (
            "With `--json`: " + ", ".join(f"[{one}](json.md#{_anchor(schema(one)['title'])})" for one in names) + ".\n"
        )
    rows = [(f"`{one.make_metavar(_context(command))}`", one) for one in arguments]
    rows += [(_option(one), one) for one in options if "--help" not in one.opts]
    yield "| | |\n|---|---|"
    for shown_name, one in rows:
        yield f"| {shown_name} | {_cell(_plain(one.help or ''))}{_default(one)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return " **Required.**" if parameter.param_type_name == "option" else ""
    default = getattr(parameter.default, "value", parameter.default)
    shown = (
        getattr(parameter, "show_default", False) and not callable(default) and default not in (None, False, "", (), [])
    )
    return f" Default: `{default}`." if shown else ""


def _context(command: Any) -> Any:
    return command.context_class(command)


def _option(option: Any) -> str:
    names = ", ".join(f"`{one}`" for one in (*option.opts, *option.secondary_opts))
    metavar = _metavar(option)
    return f"{names} {metavar.replace('|', ' | ')}".rstrip().replace("|", "\\|")


def _metavar(option: Any) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return str(option.metavar)
    choices = getattr(option.type, "choices", None)
    return "|".join(str(getattr(one, "value", one)) for one in choices) if choices else "VALUE"


def python_page() -> str:
    """Return the public names with their signatures and docstrings: functions, then classes, then errors."""
    found = {name: getattr(vlm4rec_edge, name) for name in vlm4rec_edge.__all__ if not name.startswith("_")}
    errors = {name: one for name, one in found.items() if inspect.isclass(one) and issubclass(one, Warning | Exception)}
    classes = {name: one for name, one in found.items() if inspect.isclass(one) and name not in errors}
    functions = {name: one for name, one in found.items() if name not in classes and name not in errors}
    parts: list[str] = []
    for title, names in (("Functions", functions), ("Classes", classes), ("Errors", errors)):
        parts += [f"\n## {title}\n"]
        for name, one in sorted(names.items(), key=lambda entry: entry[0].lower()):
            parts += [f"\n### {name}\n", *_documented(name, one)]
            if name in classes:
                parts += _members(one)
    return "\n".join(parts)


def _documented(name: str, one: Any) -> Iterator[str]:
    if not (inspect.isclass(one) and issubclass(one, Warning | Exception)):
        yield _signature(name, one)
    yield _docstring(inspect.getdoc(one) or "")


def _members(one: type) -> Iterator[str]:
    for name, member in inspect.getmembers(one):
        home = next((base for base in one.__mro__ if name in vars(base)), object)
        if name.startswith("_") or not home.__module__.startswith("vlm4rec_edge"):
            continue
        if isinstance(member, property):
            yield f"\n#### {one.__name__}.{name}\n"
            yield _docstring(inspect.getdoc(member) or "")
        elif inspect.isroutine(member):
            yield f"\n#### {one.__name__}.{name}()\n"
            yield _signature(name, member)
            yield _docstring(inspect.getdoc(member) or "")


def _signature(name: str, one: Any) -> str:
    try:
        signature = inspect.signature(one)
    except (TypeError, ValueError):
        return ""
    shown: list[str] = []
    for each in signature.parameters.values():
        if each.name in ("self", "cls"):
            continue
        if each.kind is each.KEYWORD_ONLY and not any(one.startswith("*") for one in shown):
            shown.append("*")
        shown.append(_parameter(each))
    answer = signature.return_annotation
    returned = "" if answer in (signature.empty, "None", None) else f" -> {answer}"
    line = f"{name}({', '.join(shown)}){returned}"
    if len(line) > _WIDTH:
        line = f"{name}(\n    " + ",\n    ".join(shown) + f",\n){returned}"
    return f"```python\n{line}\n```\n"


def _parameter(parameter: inspect.Parameter) -> str:
    star = (
        "*" if parameter.kind is parameter.VAR_POSITIONAL else "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    )
    kind = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
    if parameter.default is parameter.empty:
        return f"{star}{parameter.name}{kind}"
    shown = repr(parameter.default)
    if shown.startswith("<"):  # a factory, or an object that does not say how it is made
        shown = "..."
    return f"{parameter.name}{kind} = {shown}" if kind else f"{parameter.name}={shown}"


def _docstring(text: str) -> str:
    """Return a docstring in Google's style as Markdown: its parts become lists."""
    blocks = re.split(rf"^({'|'.join(_SECTIONS)}):$", text, flags=re.MULTILINE)
    shown = [_paragraphs(blocks[0])]
    for title, body in zip(blocks[1::2], blocks[2::2], strict=True):
        inside, _, after = body.partition("\n\n") if not body.startswith("\n\n") else (body, "", "")
        shown.append(f"**{_TITLES.get(title, title)}**\n\n{_entries(inspect.cleandoc(inside), title)}")
        if after.strip():
            shown.append(_paragraphs(inspect.cleandoc(after)))
    return "\n\n".join(part for part in shown if part.strip()) + "\n"


def _entries(body: str, title: str) -> str:
    if title in ("Returns", "Yields"):
        return _plain(" ".join(body.split()))
    if ">>>" in body:
        return _paragraphs(body)
    entries = re.split(r"\n(?=\S)", body)
    rows = []
    for entry in entries:
        name, colon, says = " ".join(entry.split()).partition(": ")
        rows.append(f"- `{name}`: {_plain(says)}" if colon else f"- {_plain(name)}")
    return "\n".join(rows)


def _paragraphs(text: str) -> str:
    shown = []
    for paragraph in text.strip().split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].lstrip().startswith(">>>"):
            shown.append("```python\n" + inspect.cleandoc("\n" + paragraph).replace("  # doctest: +SKIP", "") + "\n```")
        elif any(re.match(r"\s*- ", line) for line in lines):
            shown.append(_plain(paragraph))
        else:
            shown.append(_plain(" ".join(paragraph.split())))
    return "\n\n".join(shown)


def operations_page() -> str:
    """Return what a server answers, operation by operation, and its statuses."""
    parts = []
    for one in OPERATIONS:
        parts += [f"\n### {one.method} {one.path}\n", f"{one.says}\n"]
        if fields := [*one.query, *(one.body or ())]:
            parts.append("| field | holds | what for |\n|---|---|---|")
            for field in fields:
                needed = " **Required.**" if field.required else ""
                parts.append(f"| `{field.name}` | {_cell(kind_of(field))} | {_cell(field.says)}{needed} |")
        known = one.answer in SCHEMAS and any(schema(name)["title"] == one.answer for name in _documents())
        answer = f"[{one.answer}](json.md#{_anchor(one.answer)})" if known else one.answer
        parts.append(f"\nAnswers with {answer}.\n")
    parts.append("\n## Statuses\n\n| status | means |\n|---|---|")
    parts += [f"| {code} | {_cell(text)} |" for code, text in MEANINGS.items()]
    return "\n".join(parts)


def _documents() -> list[str]:
    return ["error", *dict.fromkeys(name for names in PRINTED.values() for name in names)]


def documents_page() -> str:
    """Return the documents of ``--json``, each with its fields."""
    printers: dict[str, list[str]] = {"error": []}
    for command, names in PRINTED.items():
        for name in names:
            printers.setdefault(name, []).append(f"`{command}`")
    parts = []
    for name, commands in printers.items():
        document = schema(name)
        by = "any command" if not commands else ", ".join(commands)
        parts += [f"\n## {document['title']}\n", f"{_plain(document['description'])} Printed by {by}.", ""]
        parts += [f"Schema: [{name}.schema.json](../../vlm4rec_edge/documents/{name}.schema.json)\n", *_table(document)]
        for title, part in document.get("$defs", {}).items():
            parts += [f"\n**{title}.** {_plain(part.get('description', ''))}\n", *_table(part)]
    return "\n".join(parts)


def _table(part: dict[str, Any]) -> Iterator[str]:
    yield "| field | type | |\n|---|---|---|"
    yield from _rows(part, "")


def _rows(part: dict[str, Any], before: str) -> Iterator[str]:
    needed = set(part.get("required", ()))
    for name, field in part.get("properties", {}).items():
        kind, inside = _type(field)
        optional = "" if name in needed else " *Not always there.*"
        yield f"| `{before}{name}` | {kind} | {_cell(_plain(field.get('description', '')))}{optional} |"
        if inside is not None:
            yield from _rows(inside, f"{before}{name}.")


def _type(field: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return what a field is in words, and the object whose fields are told below it."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2], None
    if "anyOf" in field:
        kind, inside = _type(field["anyOf"][0])
        return f"{kind} or null", inside
    if field.get("type") == "array":
        kind, inside = _type(field["items"])
        return f"list of {kind}", inside
    if "enum" in field:
        return " or ".join(f"`{json.dumps(one)}`" for one in field["enum"]), None
    kind = field.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if isinstance(field.get("additionalProperties"), dict):
        return f"object of {_type(field['additionalProperties'])[0]}", None
    return kind, field if "properties" in field else None


def _plain(text: str) -> str:
    """Turn the marks of docstrings into those of Markdown."""
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(r"(?<!`)(?<!\w)(--[a-z][\w-]*)(?![\w`-])", r"`\1`", text) if "`--" not in text else text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


GENERATED: dict[str, Callable[[], str]] = {
    "operations": operations_page,
    "commands": commands_page,
    "python": python_page,
    "documents": documents_page,
}
