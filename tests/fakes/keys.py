"""Keys that other tools leave in a bucket."""

from __future__ import annotations

from muster_node.stores.base import Store

KEYS = (
    "a b c",
    " begins and ends ",
    "1+1",
    "100%",
    "50%25",
    'it\'s "quoted"',
    "#1",
    "a&b=c?d",
    "*.png",
    "[1];:@$,~!()",
    "<tag>&amp;",
    "back\\slash",
    "größe/straße",
    "пример",
    "左目/写真",
    "\U0001f441.jpg",
)


def require_ordinary(store: Store) -> None:
    """Write an object of each key below `raw/`; assert that it is listed, read and looked up as any other."""
    for number, key in enumerate(KEYS):
        store.put(f"raw/{key}", b"x" * number)
    assert sorted(store.names("raw/")) == sorted((f"raw/{key}", number) for number, key in enumerate(KEYS))
    for number, key in enumerate(KEYS):
        assert store.get(f"raw/{key}") == b"x" * number, key
        assert store.head(f"raw/{key}").bytes == number, key
