"""From a table of histories to a table of recommendations, and what happened on the way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vlm4rec_edge.batch.answers import open_answers
from vlm4rec_edge.batch.histories import open_histories
from vlm4rec_edge.errors import UsageError
from vlm4rec_edge.given import path_of
from vlm4rec_edge.interactions import InteractionColumns
from vlm4rec_edge.items import Failure
from vlm4rec_edge.recommend.history import History
from vlm4rec_edge.recommend.many import Answer
from vlm4rec_edge.recommend.profile import ProfileSettings
from vlm4rec_edge.recommend.recommender import Recommender
from vlm4rec_edge.recommend.selection import Selection

# Examples that a report keeps of each kind; all of them could be as many as there are users.
EXAMPLES = 100
# Answers written together.
_WRITTEN_TOGETHER = 1024


@dataclass
class BatchReport:
    """What was done, and what was not.

    Attributes:
        index, histories, out: The paths of the index, of the table that was read, and of the one that was written.
        method: ``exact``, ``hnsw`` or another back end: how the index is searched.
        users: Histories that were read.
        answered: Users who got at least one recommendation.
        recommendations: Rows written.
        without_answer: Reason to how many users got nothing because of it.
        unanswered: The first of those users.
        users_with_unknown: Users whose history holds items that the index does not.
        unknown: The first of those items.
        unknown_selected: Items that the selection names and the index does not hold.
        failed: Rows of the table that could not be used.
        failures: The first of those rows.
        seconds: How long it took.
        notes: What a user should know of how the histories were read, as sentences.
    """

    index: str
    method: str
    histories: str
    out: str
    users: int = 0
    answered: int = 0
    recommendations: int = 0
    without_answer: Counter[str] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)
    users_with_unknown: int = 0
    unknown: dict[str, None] = field(default_factory=dict)
    unknown_selected: list[str] = field(default_factory=list)
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every row was used, every item known, and every user answered."""
        return not (self.failed or self.users_with_unknown or self.unknown_selected or self.without_answer)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that ``recommend --histories --json`` prints."""
        reasons = [{"reason": reason, "users": users} for reason, users in self.without_answer.most_common()]
        return {**asdict(self), "without_answer": reasons, "unknown": list(self.unknown), "notes": list(self.notes)}

    def fail(self, failure: Failure) -> None:
        """Count a row that could not be used."""
        self.failed += 1
        if len(self.failures) < EXAMPLES:
            self.failures.append(failure)

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        self.users += 1
        self.recommendations += len(answer.items)
        self.users_with_unknown += bool(answer.unknown)
        for item in answer.unknown:
            if len(self.unknown) < EXAMPLES:
                self.unknown[item] = None
        if answer.items:
            self.answered += 1
            return
        self.without_answer[answer.reason or "No item is left that may be recommended."] += 1
        if len(self.unanswered) < EXAMPLES:
            self.unanswered.append(answer.user)


def recommend_table(
    shop: Recommender,
    histories: Path | str,
    out: Path | str,
    k: int = 10,
    *,
    settings: ProfileSettings | None = None,
    selection: Selection | None = None,
    popularity: str | None = None,
    columns: InteractionColumns | None = None,
    on_start: Callable[[int], Callable[[int], None]] | None = None,
) -> BatchReport:
    """Recommend to every user of a table and write a table, block by block.

    Args:
        shop: An open index.
        histories: As ``open_histories`` reads them.
        out: As ``open_answers`` writes it; it is there when all is done.
        k: How many items each.
        settings: How a history becomes a profile.
        selection: What may be recommended.
        popularity: A column of counts, for users of whose history nothing is known.
        columns: What the columns of the histories are called, where it is nothing known.
        on_start: Called with how many rows there are; returns a function that is called with how many are done.

    Raises:
        CatalogError, UsageError, UnknownItemError, MissingDependencyError: before any long work.
    """
    histories, out = path_of(histories, "The table of histories"), path_of(out, "The table to write")
    if out.exists() and histories.exists() and out.samefile(histories):
        raise UsageError(f"{out} is the table of the histories itself; give the recommendations another name.")
    started = time.monotonic()
    selection = selection or Selection()
    report = BatchReport(
        str(shop.store.folder), shop.method, str(histories), str(out), unknown_selected=shop.unknown_in(selection)
    )
    with open_answers(out) as write:
        table = open_histories(histories, columns)
        report.notes = table.notes
        advance = on_start(table.count) if on_start is not None else lambda _: None

        def usable() -> Iterator[History]:
            for row in table.read():
                if isinstance(row, Failure):
                    report.fail(row)
                else:
                    yield row

        waiting: list[Answer] = []
        answers = shop.recommend_many(
            usable(),
            k,
            settings=settings or ProfileSettings(),
            selection=selection,
            popularity=popularity,
        )
        for answer in answers:
            report.add(answer)
            waiting.append(answer)
            if len(waiting) == _WRITTEN_TOGETHER:
                write(waiting)
                waiting = []
                advance(report.users + report.failed)
        write(waiting)
        advance(report.users + report.failed)
    report.method, report.seconds = shop.method, round(time.monotonic() - started, 3)
    return report
