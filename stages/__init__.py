"""One script per stage, run as `python -m stages.<name>`."""

import signal
import sys

# Python puts `-m` there while it looks for the script. Its imports take seconds, most of them for
# torch; until `stages._run` takes over, Ctrl-C ends it at once and without a traceback.
if sys.argv[0] == "-m":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
