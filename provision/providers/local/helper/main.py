"""Entry point: a verb as argument, its request as JSON on standard input, the answer as JSON on output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from . import checks, images, machines, nodes, shapes, stores
from .errors import HelperError

VERBS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ready": checks.ready,
    "list": machines.of_cluster,
    "list-all": machines.of_all,
    "label": machines.label,
    "create": nodes.create,
    "start": nodes.start,
    "stop": nodes.stop,
    "reshape": shapes.reshape,
    "reach": nodes.reach,
    "delete": nodes.delete,
    "image-base": images.base,
    "image-commit": images.commit,
    "image-list": images.listing,
    "image-remove": images.remove,
    "store-open": stores.opened,
    "store-close": stores.closed,
    "store-list": stores.listing,
    "store-remove": stores.remove,
}
LIMIT = 4 * 1024 * 1024  # bytes of a request


def answer(verb: str, raw: str) -> dict[str, Any]:
    """Carry out one request; every failure becomes one line."""
    try:
        if verb not in VERBS:
            raise HelperError(f"unknown verb {verb!r}; known: {' '.join(VERBS)}", kind="refused")
        try:
            request = json.loads(raw or "{}")
        except ValueError:
            raise HelperError("the request is not JSON", kind="refused") from None
        if not isinstance(request, dict) or len(raw) > LIMIT:
            raise HelperError("the request is not an object of reasonable size", kind="refused")
        checks.prepare_root()
        return {"ok": VERBS[verb](request)}
    except HelperError as error:
        return {"error": str(error), "kind": error.kind}
    except OSError as error:
        return {"error": f"{verb}: {error}", "kind": "failed"}


def main() -> int:
    """Run the verb named on the command line."""
    os.umask(0o022)
    os.chdir("/")
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    result = answer(verb, sys.stdin.read(LIMIT + 1))
    sys.stdout.write(f"{json.dumps(result)}\n")
    return 0 if "ok" in result else 1
