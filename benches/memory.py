"""Samples the memory of a process, and of those that it started, four times a second until it is gone.

memory.py PID NAME=VALUE: prints its most MiB, the most MiB of the others together, and their most number. What ssh leaves
in the background is nobody's child, so the others are known by a variable that they inherit.
"""

import os, sys, time

runner, mark = sys.argv[1], sys.argv[2].encode()
def kib(pid, key):
    try:
        with open(f"/proc/{pid}/status") as lines:
            return sum(int(line.split()[1]) for line in lines if line.startswith(key))
    except OSError:
        return 0
def is_marked(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return mark in environ.read().split(b"\0")
    except OSError:
        return False
own = others = number = 0
while kib(runner, "VmRSS"):
    own = max(own, kib(runner, "VmHWM"))
    below = [p for p in os.listdir("/proc") if p.isdigit() and p != runner and is_marked(p)]
    others, number = max(others, sum(kib(p, "VmRSS") for p in below)), max(number, len(below))
    time.sleep(0.25)
print(own // 1024, others // 1024, number)
