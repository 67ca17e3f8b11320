"""The emulator as a process: serves until its standard input ends; says its address in one line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators ec2", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--machines", action="store_true", help="boot local nodes behind the instances")
    parser.add_argument("--cluster-id", default=secrets.token_hex(4), help="of those nodes")
    parser.add_argument("--recipe", action="append", default=[], help="an own image for this baked layer")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    options = parser.parse_args(arguments)

    from tests.emulators.ec2 import images

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MOTO_AMIS_PATH"] = str(images.write(Path(folder, "amis.json"), options.recipe))
        os.environ.update(MOTO_ENABLE_KEYPAIR_VALIDATION="true", MOTO_ENABLE_AMI_VALIDATION="true")
        return serve(options)


def serve(options: argparse.Namespace) -> int:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    from tests.emulators.ec2.books import Books
    from tests.emulators.ec2.nodes import LocalNodes, NoNodes
    from tests.emulators.ec2.patches import Patches
    from tests.emulators.ec2.wire import Wire

    _look_once()

    class Quiet(MotoRequestHandler):
        protocol_version = "HTTP/1.1"  # one connection for many calls
        disable_nagle_algorithm = True

        def log_request(self, *_: object) -> None:
            """Nothing: the harness reads the books."""

    books, nodes = Books(), LocalNodes(options.cluster_id) if options.machines else NoNodes()
    patches = Patches(books, nodes)
    patches.install()
    wire = Wire(DomainDispatcherApplication(create_backend_app), books, patches)
    server = make_server("127.0.0.1", options.port, wire, threaded=True, request_handler=Quiet)
    url = f"http://127.0.0.1:{server.server_port}"
    sys.stdout.write(json.dumps({"url": url, "access_key": books.settings.access_key}) + "\n")
    if not options.until_eof:
        sys.stdout.write(_how_to(url, books.settings.access_key))
    sys.stdout.flush()
    if options.until_eof:
        threading.Thread(target=_until_eof, args=(server.shutdown,), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        if isinstance(nodes, LocalNodes):
            nodes.close()
    return 0


def _until_eof(end: Callable[[], None]) -> None:
    """Call `end` when standard input is closed."""
    sys.stdin.read()
    end()


def _look_once() -> None:
    """Let moto find out once, or in one place, what it looks for everywhere with every call."""
    from moto import backends
    from moto.core import responses
    from moto.ec2.models.core import TaggedEC2Resource

    def own_tags(resource: Any) -> list[dict[str, str]]:
        return [{"key": key, "value": value} for key, value in resource.ec2_backend.tags[resource.id].items()]

    modules = tuple(backends.list_of_moto_modules())
    quicker: dict[tuple[object, str], object] = {
        (TaggedEC2Resource, "get_tags"): own_tags,
        (backends, "list_of_moto_modules"): lambda: modules,
        (responses, "method_names_from_class"): cache(vars(responses)["method_names_from_class"]),
    }
    for (owner, name), function in quicker.items():
        setattr(owner, name, function)


def _how_to(url: str, key: str) -> str:
    return (
        "In another shell:\n"
        f"  export AWS_ENDPOINT_URL={url} AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY=none\n"
        "  export AWS_DEFAULT_REGION=eu-west-1 AWS_EC2_METADATA_DISABLED=true\n"
        f"and in the config file, under `ec2:`, `address_service: {url}/checkip`.\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
