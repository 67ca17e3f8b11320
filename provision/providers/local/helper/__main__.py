"""`python3 -m …helper VERB`."""

from .main import main

raise SystemExit(main())
