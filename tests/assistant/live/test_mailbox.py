"""Work from one thread to another: in order, bounded, and with an end."""

from __future__ import annotations

from itertools import islice

from lorgnette.assistant.background import Pending
from lorgnette.assistant.live.mailbox import Mailbox


def test_items_come_out_in_order() -> None:
    box: Mailbox[int] = Mailbox(10)
    for number in range(5):
        box.put(number)
    assert list(islice(box, 5)) == [0, 1, 2, 3, 4]
    assert box.is_empty()


def test_the_oldest_gives_way() -> None:
    box: Mailbox[int] = Mailbox(2)
    for number in range(5):
        box.put(number)
    assert not box.is_empty()
    assert list(islice(box, 2)) == [3, 4]


def test_closing_ends_the_loop_whatever_still_waits() -> None:
    box: Mailbox[int] = Mailbox(2)
    box.put(1)
    box.close()
    assert list(box) == []
    assert box.is_empty()
    box.put(2)
    assert list(box) == []


def test_closing_wakes_whoever_waits() -> None:
    box: Mailbox[int] = Mailbox(1)
    taking = Pending(lambda: list(box), "test")
    box.close()
    assert taking.get() == []


def test_nothing_is_lost_between_threads() -> None:
    box: Mailbox[int] = Mailbox(2000)
    taking = Pending(lambda: list(islice(box, 2000)), "test")
    for number in range(2000):
        box.put(number)
    assert taking.get() == list(range(2000))
