"""Which column of a table is what: by the names that we ask for, those of well-known exports, or those that a user gives."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlm4rec_edge.errors import CatalogError

# Columns that an error names; a table may have a million.
_COLUMNS_SHOWN = 40
_NAME_SHOWN = 60
# RecBole writes the type of a column behind its name (https://recbole.io/docs/user_guide/data/atomic_files.html).
_RECBOLE_TYPE = re.compile(r":(token|token_seq|float|float_seq)$")


@dataclass(frozen=True)
class Layout:
    """Names of columns that belong together.

    Attributes:
        name: Whose they are, as a note says it ("a Shopify export"); empty for our own.
        columns: By role, such as ``id``. The first name must be there if the role is needed; further ones are read too.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Wanted:
    """What a reader looks for in a table.

    Attributes:
        layouts: Our own names first; the first layout that has all ``needed`` roles is taken.
        needed: Roles without which the table is of no use.
        given: Columns by role that a user names; they go before those of any layout.
        about: How an error says which columns are needed, as a clause with a semicolon and a space at its end.
        options: Whether the program has an option ``--ROLE-column`` for each role, which an error then names.
    """

    layouts: Sequence[Layout] = ()
    needed: Sequence[str] = ()
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: str = ""
    options: bool = False

    def find(self, columns: Sequence[str]) -> tuple[Mapping[str, tuple[str, ...]], str] | None:
        """Return the columns of each role and whose layout it is, or None if a needed one is missing.

        Case, spaces, ``_`` and ``-`` make no difference: ``userId`` is ``user_id``.
        """
        by_name: dict[str, str] = {}
        for column in columns:
            by_name.setdefault(plain(column), column)
        by_name.update((column, column) for column in columns)  # the exact name, where two differ in case only

        def there(names: Iterable[str]) -> tuple[str, ...]:
            found = (by_name.get(name) or by_name.get(plain(name)) for name in names)
            return tuple(dict.fromkeys(column for column in found if column is not None))

        given = {role: there(names) for role, names in self.given.items() if names}
        if any(len(given[role]) < len(set(self.given[role])) for role in given):
            return None
        for layout in self.layouts:
            roles = {role: there(names) for role, names in layout.columns.items()}
            if all(given.get(role) or there(layout.columns[role][:1]) for role in self.needed):
                return {**roles, **given}, "" if set(self.needed) <= set(given) else layout.name
        return None

    def missing(self, columns: Sequence[str]) -> list[tuple[str, str]]:
        """Return role and name of the columns that are needed, or that a user gave, and are not there."""
        known = {plain(column) for column in columns}
        ours = {role: self.layouts[0].columns[role][:1] for role in self.needed}
        return [
            (role, name) for role, names in {**ours, **self.given}.items() for name in names if plain(name) not in known
        ]


def plain(column: str) -> str:
    """Return what is compared of the name of a column."""
    return re.sub(r"[\s_-]", "", _RECBOLE_TYPE.sub("", column.strip().casefold()))


def roles_of(
    columns: Sequence[str], wanted: Wanted, source: Path | str, separated_by: str = ""
) -> tuple[Mapping[str, tuple[str, ...]], str]:
    """Return the columns of each role, none where nothing is looked for, and the name of a layout that is not our own.

    Raises:
        CatalogError: a needed column is missing, or one stands there twice: a cell could be the one or the other.
    """
    doubled = sorted(name for name, times in Counter(columns).items() if times > 1)
    if doubled:
        raise CatalogError(f"{source} has the column {doubled[0]!r} more than once; rename one of them.")
    if not wanted.layouts:
        return {}, ""
    found = wanted.find(columns)
    if found is None:
        missing = wanted.missing(columns)
        options = " and ".join(f"--{role}-column" for role, _ in missing if not wanted.given.get(role))
        name_it = f"say which with {options}; " if wanted.options and options else ""
        seen = " | ".join(column[:_NAME_SHOWN] for column in columns[:_COLUMNS_SHOWN]) or "none"
        seen += f" | and {len(columns) - _COLUMNS_SHOWN:,} more" if len(columns) > _COLUMNS_SHOWN else ""
        at = f", separated by {separated_by}," if separated_by else ""
        names = " and no column ".join(name for _, name in missing)
        raise CatalogError(f"{source} has no column {names}; {wanted.about}{name_it}its columns{at} are: {seen}.")
    return found
