"""Chunks on a few threads: in order, errors raised, BLAS held at one thread meanwhile."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from trpolab.numerics.threads import LEAST, SERIAL, ThreadTeam, few_threads, in_chunks, summed


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order(threads: int, count: int) -> None:
    with ThreadTeam(threads) as workers:
        assert workers.map(lambda item: item * item, range(count)) == [item * item for item in range(count)]


def test_other_threads_take_part() -> None:
    both = threading.Barrier(2, timeout=30)
    with ThreadTeam(2) as workers:
        seen = workers.map(lambda item: (both.wait(), threading.get_ident())[1], range(2 * LEAST))
    assert len(set(seen)) == 2
    assert threading.get_ident() in seen


def test_too_few_items_are_not_handed_over() -> None:
    with ThreadTeam(2) as workers:
        assert workers.map(lambda item: threading.get_ident(), range(2 * LEAST - 1)) == [threading.get_ident()] * 3


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_of_any_thread_is_raised(bad: int) -> None:
    def fails(item: int) -> None:
        if item == bad:
            raise KeyError(item)

    with ThreadTeam(2) as workers, pytest.raises(KeyError):
        workers.map(fails, range(4))


def test_libraries_have_one_thread_inside_and_what_they_had_after() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threadpool_limits(2, "blas"):
            with pytest.raises(KeyError), ThreadTeam(2):
                assert set(blas_threads()) == {1}
                assert torch.get_num_threads() == 1
                raise KeyError
            assert set(blas_threads()) == {2}
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def two_threads():
    """BLAS and torch have two threads, as on a machine with two cores, in this thread and in new ones."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with threadpool_limits(2, "blas"):
        yield
    torch.set_num_threads(before)


def in_a_new_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def test_who_leaves_first_does_not_take_the_threads_from_who_stays(two_threads) -> None:
    """First in, first out: each has what it asked for to its end, and all is as before afterwards."""
    both_in, first_out = threading.Barrier(2, timeout=30), threading.Event()
    seen: dict[str, list] = {"first": [], "last": []}

    def look(name: str) -> None:
        seen[name].append((torch.get_num_threads(), *set(blas_threads())))

    def first() -> None:
        with few_threads(1):
            both_in.wait()
            look("first")
        look("first")
        first_out.set()

    def last() -> None:
        with few_threads(2):
            both_in.wait()
            first_out.wait(30)
            look("last")
        look("last")

    threads = [threading.Thread(target=work) for work in (first, last)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == {"first": [(1, 1), (2, 1)], "last": [(2, 1), (2, 2)]}
    assert set(blas_threads()) == {2} and torch.get_num_threads() == 2
    assert in_a_new_thread(torch.get_num_threads) == 2


def test_blocks_in_one_thread_lie_within_each_other(two_threads) -> None:
    with few_threads(2):
        with few_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2 and set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}


def test_helpers_use_one_thread_beside_a_run_that_uses_two(two_threads) -> None:
    with few_threads(2), ThreadTeam(2) as workers:
        torch.set_num_threads(2)
        assert workers.map(lambda item: torch.get_num_threads(), range(2 * LEAST))[1] == 1


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    with ThreadTeam(3) as workers:
        workers.map(abs, range(6))
        assert threading.active_count() > before
    assert threading.active_count() == before
    assert workers.map(abs, [-1]) == [1]  # closed: in this thread


def test_sums_do_not_depend_on_the_number_of_threads() -> None:
    chunks = np.random.default_rng(0).normal(size=(9, 50)).astype(np.float32)
    sums = []
    for threads in (1, 2, 3):
        with ThreadTeam(threads) as workers:
            sums.append(sum(workers.map(np.sin, chunks)))
    np.testing.assert_array_equal(sums[0], sums[1])
    np.testing.assert_array_equal(sums[0], sums[2])


def test_serial_runs_here() -> None:
    assert SERIAL.map(lambda item: threading.get_ident(), [0, 1]) == [threading.get_ident()] * 2


def test_misuse_raises_with_the_value() -> None:
    with pytest.raises(ValueError, match="threads = 0"):
        ThreadTeam(0)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("keep", [True, False])
def test_a_sum_over_chunks_is_that_of_a_loop(threads: int, keep: bool) -> None:
    """Of numbers whose float sum depends on the order."""
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(23, 3)) * 10.0 ** np.arange(-12, 11)[:, None])
    prepared = []

    def prepare(chunk):
        prepared.append(len(chunk[0]))
        return lambda v: (chunk[0] * v + chunk[1]).sum(0)

    chunks = in_chunks(4, rows, rows + 1)
    assert [len(one) for one, _ in chunks] == [4, 4, 4, 4, 4, 3]
    with ThreadTeam(threads) as workers:
        add = summed(prepare, chunks, workers, keep)
        found = [add(v, torch.full((3,), 5.0, dtype=torch.float64)) for v in (2.0, 3.0)]
    for v, total in zip((2.0, 3.0), found, strict=True):
        expected = torch.full((3,), 5.0, dtype=torch.float64)
        for start in range(0, 23, 4):
            expected += (rows[start : start + 4] * v + (rows + 1)[start : start + 4]).sum(0)
        assert torch.equal(total, expected)
    assert len(prepared) == (6 if keep else 12)


def test_chunks_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        in_chunks(4, torch.zeros(9), torch.zeros(4))
