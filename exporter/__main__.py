"""`python -m exporter` is the command `ai-operation-exporter`."""

import sys

from exporter.cli import main

sys.exit(main())
