"""`python -m servedrill.toxiproxy`"""

from __future__ import annotations

import sys

from servedrill.toxiproxy.cli import main

sys.exit(main())
