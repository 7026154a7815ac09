"""``python -m raftsup``."""

import sys

from raftsup.cli.main import main

sys.exit(main())
