"""Captioners, encoders and other parts of installed packages, found by name through their entry points.

A package announces one in its ``pyproject.toml``::

    [project.entry-points."vlm4rec_edge.captioners"]
    openai = "my_package:open_captioner"

``--model openai:http://127.0.0.1:8080/v1`` then calls ``open_captioner("http://127.0.0.1:8080/v1")``; without a colon it is
called with an empty text. The groups are ``vlm4rec_edge.captioners``, ``vlm4rec_edge.encoders`` and ``vlm4rec_edge.indexes``.
A name means one thing: one that two packages announce, or that is a model's of the registry, is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vlm4rec_edge.errors import ModelError, Vlm4RecError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS = ("captioners", "encoders", "indexes")


@dataclass(frozen=True)
class Plugin:
    """A plug-in as a package registers it.

    Attributes:
        group: ``captioners``, ``encoders`` or ``indexes``.
        name: What ``--model`` or ``--encoder`` call it.
        value: What is imported: a module and a name in it.
        package: Name and version of the package; empty where it has no metadata.
        problem: Why its name cannot be used, as a sentence; empty where it can.
    """

    group: str
    name: str
    value: str
    package: str
    problem: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return an entry of the documents that ``models list --json`` and ``doctor --json`` print."""
        return asdict(self)


def installed_plugins(*groups: str) -> list[Plugin]:
    """Return the plug-ins that installed packages register, by group and name; none is imported.

    Args:
        groups: Some of ``GROUPS``; default: all.
    """
    # Both import more than a recommendation needs, and many commands never ask for a plug-in.
    from importlib import metadata

    from vlm4rec_edge.models.registry import registry

    found = []
    for group in groups or GROUPS:
        points = metadata.entry_points(group=f"vlm4rec_edge.{group}")
        # As a set: a folder that is on the path twice announces the same twice.
        for name, value, package in sorted({(point.name, point.value, _package(point)) for point in points}):
            by = sorted({f"{_package(point)} ({point.value})" for point in points if point.name == name})
            problem = ""
            if len(by) > 1:
                problem = (
                    f"The plug-in {name} is registered more than once, by {' and by '.join(by)}; uninstall all but one."
                )
            elif group != "indexes" and name.lower() in registry():
                problem = f"The plug-in {name} of {package} has the name of a model of this program; uninstall it."
            found.append(Plugin(group, name, value, package, problem))
    return found


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else ""


def open_plugin(group: str, name: str, *, members: Collection[str]) -> Any | None:
    """Return what the entry point makes that ``name`` (``NAME`` or ``NAME:ARGUMENT``) means, or None if there is none.

    Args:
        group: ``captioners``, ``encoders`` or ``indexes``.
        name: Before a path that begins like a plug-in, write ``./``.
        members: What it must have to be one of the group.

    Raises:
        ModelError: it cannot be imported, fails, or makes something else, or its name is not its own.
        Vlm4RecError: as its own documentation says.
    """
    from importlib import metadata

    head, _, argument = name.partition(":")
    for plugin in installed_plugins(group):
        if plugin.name == head and plugin.problem:
            raise ModelError(plugin.problem)
    for entry in metadata.entry_points(group=f"vlm4rec_edge.{group}", name=head):
        try:
            make = entry.load()
        except (Exception, SystemExit) as error:
            raise ModelError(f"{head} ({entry.value}) cannot be imported: {error}.") from error
        try:
            plugin = make(argument)
            missing = [member for member in members if not hasattr(plugin, member)]
        except Vlm4RecError:
            raise
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"{head} ({entry.value}) cannot be opened with {argument!r}: {type(error).__name__}: {error}."
            ) from error
        if missing:
            raise ModelError(
                f"{head} ({entry.value}) makes a {type(plugin).__name__}, which is none of the {group}: it has no "
                f"{' and no '.join(missing)}."
            )
        return plugin
    return None


def close_model(model: object) -> None:
    """Free a captioner or an encoder, if it is one that holds something."""
    if hasattr(model, "close"):
        model.close()


@contextmanager
def opened(given: Any | None, make: Callable[[], Any]) -> Iterator[Any]:
    """The model that was given, which stays open, or one that is made and closed again."""
    if given is not None:
        yield given
        return
    made = make()
    try:
        yield made
    finally:
        close_model(made)
