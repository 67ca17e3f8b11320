"""Images come in order, some of them ahead, within a given memory."""

from __future__ import annotations

import threading

from fetching import FETCH_AHEAD, Object, ahead, objects
from tasks import Image


def test_a_pack_is_fetched_once_for_neighbours():
    images = [Image("a", pack="p"), Image("b", pack="p"), Image("c", bytes=5), Image("d", pack="q")]
    images.append(Image("e", pack="m", start=3, bytes=2))
    assert list(objects(images, "eyes", {"p": 7})) == [
        Object("p", 7, (images[0], images[1])),
        Object("eyes/raw/images/c", 5, (images[2],)),
        Object("q", 0, (images[3],)),
        Object("m", 2, (images[4],), 3),
    ]


def most_held(sizes: list[int], most: int) -> tuple[list[str], int, int]:
    """Fetch all; return the keys in the order they came, and the most bytes and objects there were at once."""
    there, peak, count = 0, 0, 0
    lock = threading.Lock()
    wanted = [Object(str(number), size) for number, size in enumerate(sizes)]
    held: list[int] = []

    def fetch(item: Object) -> bytes:
        nonlocal there, peak, count
        with lock:
            held.append(item.bytes)
            there = sum(held)
            peak, count = max(peak, there), max(count, len(held))
        return item.key.encode()

    order = []
    for item, content in ahead(fetch, wanted, most):
        assert content is not None
        order.append(content.decode())
        with lock:
            held.remove(item.bytes)
    return order, peak, count


def test_images_are_fetched_ahead_within_a_share_of_the_memory():
    order, peak, _ = most_held([4, 4, 4, 50, 1, *[2] * 40], 10)
    assert order == [str(number) for number in range(45)]
    assert peak <= 50
    assert most_held([4] * 100, 10)[1] <= 8
    assert most_held([0] * 100, 10)[2] <= FETCH_AHEAD


def test_what_is_not_wanted_any_more_is_not_fetched():
    fetched = []
    wanted = [Object(str(number), 1) for number in range(100)]
    coming = ahead(lambda item: fetched.append(item) or b"", wanted, 1000)
    next(coming)
    coming.close()
    assert len(fetched) <= FETCH_AHEAD
