"""Work from one thread to another: in order, bounded, with a policy, and with an end."""

from __future__ import annotations

import threading
from itertools import islice

import pytest
from live_box import eventually

from lorgnette.assistant.background import Pending
from lorgnette.assistant.live.mailbox import Mailbox, Overflow


def test_items_come_out_in_order() -> None:
    box: Mailbox[int] = Mailbox(10, Overflow.WAIT)
    for number in range(5):
        box.put(number)
    assert list(islice(box, 5)) == [0, 1, 2, 3, 4]
    assert box.is_empty()


def test_the_oldest_gives_way() -> None:
    box: Mailbox[int] = Mailbox(2, Overflow.DROP_OLDEST)
    for number in range(5):
        box.put(number)
    assert not box.is_empty()
    assert list(islice(box, 2)) == [3, 4]


def test_whoever_brings_too_much_waits() -> None:
    box: Mailbox[int] = Mailbox(2, Overflow.WAIT)
    brought: list[int] = []

    def bring() -> None:
        for number in range(5):
            box.put(number)
            brought.append(number)

    bringing = Pending(bring, "test")
    eventually(lambda: len(brought) == 2)
    threading.Event().wait(0.05)
    assert brought == [0, 1], "the third waits for room"
    assert list(islice(box, 5)) == [0, 1, 2, 3, 4]
    bringing.get()
    assert brought == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("overflow", Overflow)
def test_closing_ends_the_loop_whatever_still_waits(overflow: Overflow) -> None:
    box: Mailbox[int] = Mailbox(2, overflow)
    box.put(1)
    box.close()
    assert list(box) == []
    assert box.is_empty()
    box.put(2)
    assert list(box) == []


def test_closing_wakes_everybody() -> None:
    full: Mailbox[int] = Mailbox(1, Overflow.WAIT)
    full.put(1)
    empty: Mailbox[int] = Mailbox(1, Overflow.WAIT)
    bringing, taking = Pending(lambda: full.put(2), "test"), Pending(lambda: list(empty), "test")
    full.close()
    empty.close()
    bringing.get()
    assert taking.get() == []


def test_nothing_is_lost_between_threads() -> None:
    box: Mailbox[int] = Mailbox(3, Overflow.WAIT)
    taking = Pending(lambda: list(islice(box, 2000)), "test")
    for number in range(2000):
        box.put(number)
    assert taking.get() == list(range(2000))
