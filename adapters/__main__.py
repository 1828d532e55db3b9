"""`python -m adapters` is `callchart`."""

import sys

from adapters.cli import main

sys.exit(main())
