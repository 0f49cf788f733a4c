"""What every test may rely on, however the tests were started."""

import signal
import threading

# A shell makes what it starts in the background ignore Ctrl-C, and that is inherited: tests send it to their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
