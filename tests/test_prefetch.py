"""Work is done ahead in threads, in order, and nothing made is lost or leaked."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from vlm4rec_edge.prefetch import prefetch


def test_results_come_in_the_order_of_their_inputs_however_long_each_takes() -> None:
    def work(number: int) -> int:
        time.sleep(0.003 * (number % 3))
        return number * number

    assert list(prefetch(work, range(40), threads=4, ahead=8)) == [number * number for number in range(40)]


def test_nothing_in_gives_nothing_out() -> None:
    assert list(prefetch(str, [], threads=2, ahead=4)) == []


def test_work_runs_in_other_threads_and_inputs_are_pulled_in_this_one() -> None:
    here = threading.get_ident()
    pulled_in = set()

    def inputs() -> Iterator[int]:
        for number in range(10):
            pulled_in.add(threading.get_ident())
            yield number

    worked_in = set(prefetch(lambda _: threading.get_ident(), inputs(), threads=2, ahead=4))
    assert pulled_in == {here}
    assert here not in worked_in


def test_no_more_than_so_many_are_pulled_ahead() -> None:
    pulled = 0

    def inputs() -> Iterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    results = prefetch(lambda number: number, inputs(), threads=2, ahead=5)
    for taken in range(1, 30):
        assert next(results) == taken
        assert pulled <= taken + 5
    results.close()  # type: ignore[attr-defined]


def test_what_nobody_takes_is_given_back() -> None:
    made: list[int] = []
    discarded: list[int] = []

    def work(number: int) -> int:
        made.append(number)
        return number

    results = prefetch(work, itertools.count(), threads=2, ahead=6, discard=discarded.append)
    taken = [next(results) for _ in range(3)]
    results.close()  # type: ignore[attr-defined]
    assert sorted(taken + discarded) == sorted(made)


def test_an_error_in_a_thread_reaches_the_caller_and_the_rest_is_given_back() -> None:
    made: list[int] = []
    discarded: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("the third")
        made.append(number)
        return number

    taken: list[int] = []
    with pytest.raises(ValueError, match="the third"):
        for result in prefetch(work, range(20), threads=2, ahead=4, discard=discarded.append):
            taken.append(result)
    assert taken == [0, 1, 2]
    assert sorted(taken + discarded) == sorted(made)


def test_an_error_of_the_inputs_reaches_the_caller_and_leaves_no_thread() -> None:
    def inputs() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(prefetch(lambda number: number, inputs(), threads=2, ahead=4))
    assert threading.active_count() == before
