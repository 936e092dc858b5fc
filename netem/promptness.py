"""trio: asks the kernel to wake this process promptly: a timer's departure is as punctual as the process gets the processor.

Linux lets a process compute for its slice, some milliseconds, before another gets its turn. One that asks for a short slice
has a near deadline when it wakes up, so it need not wait for the end of others' slices, and it gets no larger share of the
processor than before (EEVDF, Linux 6.12; older kernels and other systems take no notice). No privilege is needed.
"""

from __future__ import annotations

import ctypes
import platform
import sys

SLICE_NS = 100_000  # the shortest that there is
_SET_AND_GET = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}  # system calls, by machine
_FAIR = (0, 3)  # SCHED_OTHER and SCHED_BATCH: a policy with hard deadlines means something else by its runtime


class _Attributes(ctypes.Structure):
    """What sched_setattr(2) takes, in its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def ask_for_short_slices() -> bool:
    """Ask for the shortest slice for the calling thread, and for processes it starts; return whether the kernel took it."""
    calls = _SET_AND_GET.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return False
    libc = ctypes.CDLL(None)
    attributes = _Attributes()
    size = ctypes.sizeof(attributes)
    if libc.syscall(calls[1], 0, ctypes.byref(attributes), size, 0) or attributes.policy not in _FAIR:
        return False
    attributes.runtime = SLICE_NS  # all else as it was
    return bool(libc.syscall(calls[0], 0, ctypes.byref(attributes), 0) == 0)
