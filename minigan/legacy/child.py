"""What a process that `multiprocessing` spawned imports in the place of the script: the script, knowing `chainer`."""

import os
import sys

from minigan.legacy import runner

if __name__ == "__mp_main__":
    __file__ = sys.argv[0] = os.environ[runner.MAIN]
    runner.execute(__file__, globals())
