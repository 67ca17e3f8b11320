"""The emulated account as a process, with real machines of this computer behind its guests."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.emulators.softlayer.guests import Delays
from tests.emulators.softlayer.machines import Local, Paper
from tests.emulators.softlayer.server import Emulator


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators softlayer", description=__doc__)
    parser.add_argument("home", type=Path, help="a folder for the client's settings file; made when missing")
    parser.add_argument("--paper", action="store_true", help="no machines: guests that never answer")
    parser.add_argument(
        "--image", action="append", default=[], help="recipe key of a layer that is baked here"
    )
    options = parser.parse_args(arguments)
    machines = Paper() if options.paper else Local()
    emulator = Emulator(options.home.resolve(), machines, Delays(provision=1, reclaim=1))
    try:
        for key in options.image:
            emulator.add_image(f"muster-{key}")
        sys.stdout.write(
            f"SoftLayer at {emulator.endpoint}, until Ctrl-C. In another shell, in the config file's folder:\n"
            f"  export HOME={emulator.home}\n"
            "and in the config file, under `softlayer:`, `private_only: true`.\n"
        )
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        emulator.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
