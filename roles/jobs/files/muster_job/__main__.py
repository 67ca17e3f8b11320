"""Entry point: `python3 -m muster_job`."""

import sys

from muster_job.cli import main

sys.exit(main())
