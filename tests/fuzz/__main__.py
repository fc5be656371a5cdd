"""`python -m tests.fuzz`, see `harness`."""

from tests.fuzz.harness import main

raise SystemExit(main())
