"""The child's side of the sandbox: fences itself in, then runs one program. Executed by path, imported by nobody.

Three walls, none of which needs a privilege, so that it works inside containers too: Landlock (files: the
interpreter's libraries to read, the program's own folder to write, nothing else), a seccomp filter that lets through
about 140 harmless system calls (no socket, no new process, no signal to another process, no change of owner or mode)
and resource limits. A network namespace of its own is taken where the kernel gives one. Where Landlock or seccomp is
missing nothing is run. 12 ms over the interpreter's own start. Only the standard library; Python 3.11 or later.
"""

from __future__ import annotations

import ctypes
import json
import linecache
import os
import platform
import resource
import struct
import sys
import traceback
import types
from collections.abc import Iterator
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_OUTPUT = 16 << 20
"""Most bytes of one file, the output included."""

# --- files: Landlock, see landlock(7)

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Rights a kernel knows from that version of Landlock on: all but those named later, among them moving and cutting."""
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def wall_files(folder: str) -> str:
    """Let this process read libraries and use `folder`, and no other file."""
    version = _LIBC.syscall(_CREATE, None, 0, 1)
    if version < 1:
        raise OSError("the kernel has no Landlock (Linux 5.13 or later, with landlock among its security modules)")
    rights = _RIGHTS[max(each for each in _RIGHTS if each <= version)]
    asked = struct.pack("QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    asked = asked[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _call(_CREATE, asked, len(asked), 0)
    roots = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    for place in (*_LIBRARIES, *(os.path.join(root, lib) for root in roots for lib in ("lib", "lib64"))):  # noqa: PTH118
        _allow(rules, place, _READ | _LIST)
    for place in _DEVICES:
        _allow(rules, place, _READ | (_WRITE if place == "/dev/null" else 0))
    _allow(rules, folder, rights & ~_EXECUTE)
    _call(_RESTRICT, rules, 0)
    os.close(rules)
    return f"landlock {version}"


def _allow(rules: int, place: str, rights: int) -> None:
    """A rule for a file or everything below a folder; a place that is not there needs none."""
    try:
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(place):  # noqa: PTH112
        rights &= ~_LIST
    _call(_ADD, rules, 1, struct.pack("=Qi", rights, handle), 0)
    os.close(handle)


# --- system calls: seccomp, see seccomp(2)

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_HARMLESS = """
    read:0:63 write:1:64 close:3:57 stat:4 fstat:5:80 lstat:6 poll:7 lseek:8:62 mmap:9:222 mprotect:10:226
    munmap:11:215 brk:12:214 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 pread64:17:67
    pwrite64:18:68 readv:19:65 writev:20:66 access:21 pipe:22 select:23 sched_yield:24:124 mremap:25:216 msync:26:227
    mincore:27:232 madvise:28:233 dup:32:23 dup2:33 pause:34 nanosleep:35:101 getitimer:36:102 alarm:37
    setitimer:38:103 getpid:39:172 sendfile:40:71 sendto:44:206 recvfrom:45:207 shutdown:48:210 getsockname:51:204
    getpeername:52:205 setsockopt:54:208 getsockopt:55:209 exit:60:93 uname:63:160 flock:73:32 fsync:74:82
    fdatasync:75:83 ftruncate:77:46 getdents:78 getcwd:79:17 chdir:80:49 fchdir:81:50 rename:82 mkdir:83 rmdir:84
    creat:85 link:86 unlink:87 symlink:88 readlink:89 umask:95:166 gettimeofday:96:169 getrlimit:97:163
    getrusage:98:165 sysinfo:99:179 times:100:153 getuid:102:174 getgid:104:176 geteuid:107:175 getegid:108:177
    getppid:110:173 getpgrp:111 getgroups:115:158 getresuid:118:148 getresgid:120:150 getpgid:121:155 getsid:124:156
    rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132 statfs:137:43
    fstatfs:138:44 sched_getparam:143:121 sched_getscheduler:145:120 sched_get_priority_max:146:125
    sched_get_priority_min:147:126 arch_prctl:158 gettid:186:178 time:201 futex:202:98 sched_getaffinity:204:123
    epoll_create:213 getdents64:217:61 set_tid_address:218:96 restart_syscall:219:128 fadvise64:221:223
    clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115 exit_group:231:94 epoll_wait:232
    epoll_ctl:233:21 mkdirat:258:34 newfstatat:262:79 unlinkat:263:35 renameat:264:38 linkat:265:37
    symlinkat:266:36 readlinkat:267:78 faccessat:269:48 pselect6:270:72 ppoll:271:73 set_robust_list:273:99
    epoll_pwait:281:22 timerfd_create:283:85 eventfd:284 timerfd_settime:286:86
    timerfd_gettime:287:87 eventfd2:290:19 epoll_create1:291:20 dup3:292:24 pipe2:293:59 preadv:295:69 pwritev:296:70
    getcpu:309:168 renameat2:316:276 getrandom:318:278 membarrier:324:283 copy_file_range:326:285 statx:332:291
    rseq:334:293 close_range:436:436 faccessat2:439:439 epoll_pwait2:441:441
"""
"""name:number on x86_64:number on aarch64, where it has one."""
_CLONE, _SOCKETPAIR, _PRLIMIT, _FCNTL, _IOCTL = (56, 220), (53, 199), (302, 261), (72, 25), (16, 29)
_OPEN: tuple[int, int | None] = (2, None)
_OPENAT: tuple[int, int | None] = (257, 56)
_NEWER = 424
"""Calls from here on came with fall-backs in libc, which a plain "not permitted" would not start."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_DENY, _UNKNOWN = 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS
Instruction = tuple[int, int, int, int]


def wall_calls() -> str:
    """Let this process make harmless system calls only."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        raise OSError(f"the filter of system calls is written for x86_64 and aarch64, not for {machine}")
    program = list(_filter(*_ARCHITECTURES[machine]))
    code = b"".join(struct.pack("=HBBI", *each) for each in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    pointer = struct.pack("H6xQ", len(program), ctypes.addressof(buffer))
    if _LIBC.prctl(22, 2, pointer, 0, 0):
        raise OSError(f"the kernel takes no filter of system calls: {os.strerror(ctypes.get_errno())}")
    return "seccomp"


def _filter(architecture: int, column: int) -> Iterator[Instruction]:
    """The program: what architecture, then one block a call, then no."""
    yield _LOAD, 0, 0, 4
    yield _EQUAL, 1, 0, architecture
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, 0
    for line in _HARMLESS.split():
        numbers = line.split(":")[1:]
        if column < len(numbers):
            yield _EQUAL, 0, 1, int(numbers[column])
            yield _RETURN, 0, 0, _ALLOW
    threads_only = [(_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, 0x10000), (_RETURN, 0, 0, _ALLOW)]
    streams_only = [(_LOAD, 0, 0, 24), (_AND, 0, 0, 15), (_EQUAL, 0, 1, 1), (_RETURN, 0, 0, _ALLOW)]
    itself_only = [(_LOAD, 0, 0, 16), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW)]
    for call, block in ((_CLONE, threads_only), (_SOCKETPAIR, streams_only), (_PRLIMIT, itself_only)):
        yield _EQUAL, 0, len(block) + 1, call[column]
        yield from block
        yield _RETURN, 0, 0, _DENY
    signals_to_others = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: a descriptor that kills whom it was told to
    terminal_and_owner = (0x5412, 0x8901, 0x8902)  # TIOCSTI, FIOSETOWN, SIOCSPGRP
    for call, words in ((_FCNTL, signals_to_others), (_IOCTL, terminal_and_owner)):
        yield _EQUAL, 0, 2 + 2 * len(words), call[column]
        yield _LOAD, 0, 0, 24
        for word in words:
            yield _EQUAL, 0, 1, word
            yield _RETURN, 0, 0, _DENY
        yield _RETURN, 0, 0, _ALLOW
    for opening, argument in ((_OPEN, 1), (_OPENAT, 2)):
        number = opening[column]
        if number is not None:
            # Before version 3 Landlock does not see a file cut by being opened, unless it is opened for writing.
            cuts = [(_ANY_BIT, 1, 0, 0x200), (_RETURN, 0, 0, _ALLOW), (_AND, 0, 0, 3)]
            writes = [(_EQUAL, 1, 0, 1), (_EQUAL, 0, 1, 2), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)]
            yield _EQUAL, 0, 1 + len(cuts) + len(writes), number
            yield _LOAD, 0, 0, 16 + 8 * argument
            yield from cuts
            yield from writes
    yield _AT_LEAST, 0, 2, _NEWER
    yield _AT_LEAST, 1, 0, 0x40000000  # x86_64's second set of numbers
    yield _RETURN, 0, 0, _UNKNOWN
    yield _RETURN, 0, 0, _DENY


# --- the rest


def limit(seconds: int, memory: int) -> None:
    """Bound what the program takes; processes need no number, for the filter lets none begin."""
    bounds = {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_AS: (memory, memory),
        resource.RLIMIT_FSIZE: (_OUTPUT, _OUTPUT),
        resource.RLIMIT_NOFILE: (64, 64),
        resource.RLIMIT_CORE: (0, 0),
    }
    for what, (soft, hard) in bounds.items():
        most = resource.getrlimit(what)[1]
        inside = most == resource.RLIM_INFINITY
        resource.setrlimit(what, (soft if inside else min(soft, most), hard if inside else min(hard, most)))


def fence(given: dict[str, Any]) -> list[str]:
    """Raise every wall; the names of those that stand. OSError where one that must stand cannot."""
    _LIBC.prctl(1, 9, 0, 0, 0)  # die with the parent
    if os.getppid() != given["parent"]:
        raise OSError("the parent has ended")
    limit(given["seconds"], given["memory"])
    standing = ["limits"]
    if not given["fenced"]:
        return standing
    if not _LIBC.unshare(0x10000000 | 0x40000000):  # a user and a network namespace: a second wall, not the first
        standing.append("network namespace")
    _LIBC.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))
    if _LIBC.prctl(38, 1, 0, 0, 0):
        raise OSError(f"no_new_privs: {os.strerror(ctypes.get_errno())}")
    return [*standing, wall_files(given["folder"]), wall_calls()]


def _call(number: int, *arguments: Any) -> int:
    found: int = _LIBC.syscall(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def run(code: str) -> int:
    """Run a program as `__main__`; its exit status. A traceback shows its own lines only."""
    name = "program.py"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    main = types.ModuleType("__main__")
    main.__dict__["__file__"] = name
    sys.modules["__main__"] = main
    sys.argv[:] = [name]
    try:
        exec(compile(code, name, "exec"), main.__dict__)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, trace)
        return 1
    return 0


def main() -> int:
    """Read what to run from standard input, say on the descriptor named in the arguments what stands, run it."""
    given = json.loads(sys.stdin.buffer.read())
    with os.fdopen(int(sys.argv[1]), "w") as report:
        os.closerange(0, 1)
        os.open(os.devnull, os.O_RDONLY)  # becomes 0
        prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
        try:
            said: dict[str, Any] = {"walls": fence(given), "prefixes": sorted(prefixes, key=len, reverse=True)}
        except OSError as error:
            said = {"error": error.strerror or str(error)}
        json.dump(said, report)
    return run(given["code"]) if "walls" in said else 1


if __name__ == "__main__":
    sys.exit(main())
