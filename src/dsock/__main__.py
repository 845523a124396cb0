"""`python -m dsock`."""

import sys

from dsock.cli import main

sys.exit(main())
