"""Becomes a server that dies with whoever started it: `python -I -S launch.py PARENT USER GROUP PROGRAM ARGUMENT...`.

A step between us and the server, because the kernel forgets a parent-death signal when a process changes its user, and
because Python that runs between fork and exec may lock up in a program with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, user, group = map(int, sys.argv[1:4])
    command = sys.argv[4:]
    if user != os.geteuid():
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("the kernel refused a parent-death signal")
    if os.getppid() != parent:
        sys.exit("whoever started this server is gone")
    os.execv(command[0], command)


main()
