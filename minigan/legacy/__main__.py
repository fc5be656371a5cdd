"""``python -m minigan.legacy SCRIPT``: see ``minigan.legacy.runner``."""

import sys

from minigan.legacy import runner

if __name__ == "__main__":
    runner.main(sys.argv[1:])
