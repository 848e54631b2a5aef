"""Options in groups: in the signature of a command, a dataclass of options stands for the options that are its fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with one option for each field of the dataclasses among its parameters, as typer reads them."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    flat: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        options = [(parameter.name, hints[parameter.name], parameter.default)]
        if (group := groups.get(parameter.name)) is not None:
            types = get_type_hints(group, include_extras=True)
            options = [(field.name, types[field.name], field.default) for field in fields(group)]
        flat += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
            for name, hint, default in options
        ]

    @wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    return run


def given(options: Any) -> dict[str, Any]:
    """Return the options of a group that have a value, by name: what goes into the settings of the same names."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value for name, value in values.items() if value is not None}
