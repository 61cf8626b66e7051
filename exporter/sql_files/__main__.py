"""`python -m exporter.sql_files`: what `sql build` does."""

import sys

from exporter.sql_files.build import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
