"""What was learned from purchases, kept in an index, and forgotten."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlm4rec_edge.indexing.access import FolderAccess
from vlm4rec_edge.store.reader import StoreReader
from vlm4rec_edge.store.trouble import holds_nothing

if TYPE_CHECKING:
    from vlm4rec_edge.interactions import InteractionColumns, Interactions
    from vlm4rec_edge.learning.learning import LearnReport, OnStart


def learn_and_keep(
    access: FolderAccess,
    interactions: Path | str | Interactions,
    *,
    columns: InteractionColumns | None,
    new_items: str,
    dry_run: bool,
    seed: int,
    on_start: OnStart | None,
) -> LearnReport:
    """Learn from purchases, and keep what recommends better; see ``IndexFolder.learn``."""
    from vlm4rec_edge.learning.learning import learn_from  # scipy, which no other job needs

    with nullcontext() if dry_run else access.writing() as writer:
        with StoreReader(access.folder, content=True) as store:
            if store.is_empty():
                raise holds_nothing(access.folder)
            learned, report = learn_from(
                store, interactions, columns=columns, new_items=new_items, seed=seed, on_start=on_start
            )
        if writer is None or learned is None:
            return report
        writer.learn(learned)
        access.refresh_index()
    return replace(report, stored=True)


def forget_learned(access: FolderAccess) -> bool:
    """Forget what was learned; see ``IndexFolder.forget_learned``."""
    with access.writing() as store:
        forgotten = store.forget_learned()
        access.refresh_index()
    return forgotten
