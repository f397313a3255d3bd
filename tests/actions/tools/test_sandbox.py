"""Programs behind the fence: what they cannot reach, what they can use, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from synthkit.actions.tools import fence, sandbox
from synthkit.actions.tools.python import Python, told
from synthkit.actions.tools.sandbox import Limits, Ran, SandboxError, run
from synthkit.core.errors import SpecError
from synthkit.testing import RecordingContext

LIMITS = Limits(seconds=20, memory=256 << 20, output=2000)


def fenced() -> str:
    """Why programs cannot be fenced in here; empty where they can."""
    try:
        asyncio.run(run("", LIMITS))
    except SandboxError as error:
        return str(error)
    return ""


pytestmark = pytest.mark.skipif(bool(why := fenced()), reason=f"no fence here: {why}")

FORBIDDEN = {
    "a socket": "import socket; socket.socket()",
    "a socket of a file": "import socket; socket.socket(socket.AF_UNIX)",
    "a datagram pair, which could be sent elsewhere": "import socket; socket.socketpair(type=socket.SOCK_DGRAM)",
    "a file of the system": "open('/etc/passwd').read()",
    "a list of the home": f"import os; os.listdir({str(Path.home())!r})",
    "this file": f"open({__file__!r}).read()",
    "the environment of a process": "open('/proc/self/environ').read()",
    "a file outside": f"open({tempfile.gettempdir() + '/outside.txt'!r}, 'w')",
    "a file of the interpreter": "import os; open(os.__file__, 'a')",
    "another folder's file by a link": "import os; os.link(os.__file__, 'mine')",
    "a file cut by opening it to read": "import os; os.open('mine', os.O_RDONLY | os.O_CREAT | os.O_TRUNC)",
    "a file cut by opening it for nothing": "import os; os.open(os.__file__, 3 | os.O_TRUNC)",
    "room on the disk without writing it": "import os; os.posix_fallocate(os.open('f', 66), 0, 1 << 20)",
    "a mode": "import os; os.chmod(os.__file__, 0o777)",
    "an owner": "import os; os.chown('.', 0, 0)",
    "a time": "import os; os.utime(os.__file__)",
    "a process": "import os; os.fork()",
    "a program": "import subprocess; subprocess.run(['/bin/true'])",
    "another program in its place": "import os, sys; os.execv(sys.executable, ['python'])",
    "a signal to the parent": "import os; os.kill(os.getppid(), 0)",
    "a signal to all": "import os; os.kill(-1, 0)",
    "a signal by a descriptor": "import fcntl, os; fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())",
    "the parent's limits": "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
}


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN.keys())
async def test_it_cannot_have(code: str) -> None:
    ran = await run(code, LIMITS)
    assert ran.status == 1
    assert "PermissionError" in ran.output or "cross-device link" in ran.output, ran.output


async def test_system_calls_that_libraries_do_not_offer_are_closed_too() -> None:
    numbers = {"ptrace": 101, "process_vm_readv": 310, "bpf": 321, "io_uring_setup": 425, "clone3": 435, "memfd": 319}
    if os.uname().machine != "x86_64":
        numbers = {"ptrace": 117, "process_vm_readv": 270, "bpf": 280, "io_uring_setup": 425, "clone3": 435}
    code = f"""
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
found = {{}}
for name, number in {numbers}.items():
    assert libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1, name
    found[name] = errno.errorcode[ctypes.get_errno()]
print(json.dumps(found))
"""
    ran = await run(code, LIMITS)
    assert ran.status == 0, ran.output
    assert set(json.loads(ran.output).values()) <= {"EPERM", "ENOSYS"}


ALLOWED = {
    "arithmetic": ("print(6 * 7)", "42"),
    "files of its own": (
        "import os\nopen('a', 'w').write('x')\nos.mkdir('d')\nos.rename('a', 'd/b')\nprint(os.listdir('d'))",
        "['b']",
    ),
    "temporary files": ("import tempfile\nwith tempfile.TemporaryFile() as f: print(f.write(b'abc'))", "3"),
    "threads": (
        "import threading\nt = threading.Thread(target=print, args=('in',)); t.start(); t.join(); print('out')",
        "in\nout",
    ),
    "asyncio": ("import asyncio\nasync def m(): await asyncio.sleep(0.01); print('done')\nasyncio.run(m())", "done"),
    "a database in memory": ("import sqlite3; print(*sqlite3.connect(':memory:').execute('select 1'))", "(1,)"),
    "chance": ("import random, secrets; print(len(secrets.token_bytes(3)), random.random() < 1)", "3 True"),
    "exact numbers": ("from decimal import Decimal as D; print(D('0.1') + D('0.2'))", "0.3"),
    "Chinese": ("print('青岚市')", "青岚市"),
    "an end of its own": ("import sys; print('a'); sys.exit(0)", "a"),
}  # fmt: skip


@pytest.mark.parametrize(("code", "output"), ALLOWED.values(), ids=ALLOWED.keys())
async def test_it_can_use(code: str, output: str) -> None:
    ran = await run(code, LIMITS)
    assert (ran.status, ran.output.strip()) == (0, output)


async def test_the_order_of_a_set_is_the_same_each_time() -> None:
    code = "print({'red', 'green', 'blue', 'white'})"
    assert len({(await run(code, LIMITS)).output for _ in range(3)}) == 1


async def test_it_sees_no_packages_no_input_no_open_files_and_no_environment() -> None:
    assert "ModuleNotFoundError" in (await run("import pydantic", LIMITS)).output
    assert "EOFError" in (await run("input()", LIMITS)).output
    code = "import os\nfor n in range(3, 64):\n  try: os.fstat(n); print(n)\n  except OSError: pass"
    assert (await run(code, LIMITS)).output == ""
    seen = json.loads((await run("import os, json; print(json.dumps(dict(os.environ)))", LIMITS)).output)
    assert seen.keys() <= {"PYTHONHASHSEED", "HOME", "TMPDIR", "LANG", "TZ", "LC_CTYPE"}


async def test_an_interpreter_brings_its_packages() -> None:
    ran = await run(
        "import pydantic; print(pydantic.__name__)", Limits(10, 1 << 30, 2000), interpreter=Path(sys.executable)
    )
    assert ran.output.strip() == "pydantic", ran.output


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
async def test_it_is_stopped_in_time(code: str) -> None:
    ran = await run(f"print('begun')\n{code}", Limits(1, 256 << 20, 2000))
    assert ran.late
    assert ran.status < 0
    assert told(ran, Limits(1, 256 << 20, 2000)) == "begun\n[stopped after 1 s]"


@pytest.mark.parametrize("code", ["bytearray(10**9)", "x = []\nwhile True: x.append('a' * 1_000_000)"])
async def test_memory_is_bounded(code: str) -> None:
    assert "MemoryError" in (await run(code, LIMITS)).output


@pytest.mark.parametrize(
    "code",
    [
        "n = 0\nwhile True: open(str(n), 'wb').write(bytes(15 << 20)); n += 1",
        "import os\nn = 0\nwhile True: os.mkdir('d'); os.chdir('d'); open('f', 'wb').write(bytes(9 << 20))",
        "n = 0\nwhile True: open(str(n), 'w').close(); n += 1",
        "import os, time\nfor n in range(30): os.mkdir('d' * 200); os.chdir('d' * 200)\ntime.sleep(9)",
    ],
)
async def test_the_room_on_the_disk_is_bounded(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sandbox, "_ROOM", 40 << 20)
    ran = await run(code, LIMITS)
    assert (ran.full, ran.late, ran.status) == (True, False, -9)
    assert told(ran, LIMITS) == "[stopped; a program may write 256 MiB in 10,000 files]"
    assert list(tmp_path.iterdir()) == []


async def test_threads_without_end_come_to_one() -> None:
    code = "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    ran = await run(code, Limits(1, 128 << 20, 2000))
    assert "can't start new thread" in ran.output


async def test_a_long_output_keeps_its_beginning_and_its_end() -> None:
    ran = await run("print('first'); print('x' * 1_000_000); 1 / 0", Limits(20, 256 << 20, 400))
    assert ran.output.startswith("first\n")
    assert "bytes of output, the middle is left out" in ran.output
    assert ran.output.rstrip().endswith("ZeroDivisionError: division by zero")
    assert len(ran.output) < 500
    endless = await run("while True: print('x' * 1000)", LIMITS)
    assert endless.status != 0
    assert len(endless.output) < 2100


async def test_a_traceback_shows_the_program_and_no_path_of_this_machine() -> None:
    ran = await run("import json\ndef f(text):\n    return json.loads(text)\nf('{')", LIMITS)
    assert "File \"program.py\", line 4, in <module>\n    f('{')" in ran.output
    assert 'File "/usr/lib/python3' in ran.output
    assert sys.base_prefix == "/usr" or sys.base_prefix not in ran.output
    assert "fence.py" not in ran.output
    assert (await run("import os; print(os.getcwd())", LIMITS)).output == "/home/agent\n"
    assert "SyntaxError" in (await run("x = = 1", LIMITS)).output
    assert "fence.py" not in (await run("x = = 1", LIMITS)).output


async def test_nothing_is_left_behind_and_no_thread_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = threading.active_count()
    ran = await asyncio.gather(*(run(f"open('f', 'w').write('x'); print({n})", LIMITS) for n in range(8)))
    assert [each.output for each in ran] == [f"{n}\n" for n in range(8)]
    assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []


async def test_a_program_ends_with_the_row_that_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    begun: list[int] = []
    popen = sandbox.subprocess.Popen

    def noted(*args: object, **more: object) -> object:
        process = popen(*args, **more)  # type: ignore[call-overload]
        begun.append(process.pid)
        return process

    monkeypatch.setattr(sandbox.subprocess, "Popen", noted)
    task = asyncio.create_task(run("import time; time.sleep(60)", Limits(30, 256 << 20, 2000)))
    while not begun:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(begun[0], 0)
    assert list(tmp_path.iterdir()) == []


async def test_every_wall_is_named() -> None:
    walls = (await run("", LIMITS)).walls
    assert walls[0] == "limits"
    assert walls[-1] == "seccomp"
    assert any(each.startswith("landlock ") for each in walls)
    assert (await run("", LIMITS, fenced=False)).walls == ("limits",)


def test_the_filter_lets_through_what_is_listed_and_nothing_else() -> None:
    """The program, run by hand over every call number of both machines."""
    for column, architecture in ((0, 0xC000003E), (1, 0xC00000B7)):
        program = list(fence._filter(architecture, column))
        listed = {int(each.split(":")[1 + column]) for each in fence._HARMLESS.split() if each.count(":") > column}
        allowed = {nr for nr in range(512) if _decide(program, architecture, nr, (1, 0, 0, 0)) == fence._ALLOW}
        by_argument = {fence._FCNTL[column], fence._IOCTL[column], fence._OPEN[column], fence._OPENAT[column]}
        assert allowed == (listed | by_argument) - {None}
        assert 90 < len(allowed) < 150
        clone = fence._CLONE[column]
        assert _decide(program, architecture, clone, (0x3D0F00, 0, 0, 0)) == fence._ALLOW  # what a new thread asks for
        assert _decide(program, architecture, clone, (0x1200011, 0, 0, 0)) == fence._DENY  # what fork asks for
        pair = fence._SOCKETPAIR[column]
        assert _decide(program, architecture, pair, (1, 1 | 0x80000, 0, 0)) == fence._ALLOW
        assert _decide(program, architecture, pair, (1, 2, 0, 0)) == fence._DENY
        for number, at in ((fence._OPEN[column], 1), (fence._OPENAT[column], 2)):
            for flags in range(0x400) if number is not None else ():
                arguments = tuple(flags if each == at else 0 for each in range(4))
                cut = flags & os.O_TRUNC and flags & os.O_ACCMODE not in (os.O_WRONLY, os.O_RDWR)
                assert _decide(program, architecture, number, arguments) == (fence._DENY if cut else fence._ALLOW)
        assert _decide(program, architecture, fence._PRLIMIT[column], (0, 0, 0, 0)) == fence._ALLOW
        assert _decide(program, architecture, 0x40000000 | 1, (0, 0, 0, 0)) == fence._DENY
        assert _decide(program, architecture ^ 1, 0, (0, 0, 0, 0)) == fence._KILL


def _decide(program: list[fence.Instruction], architecture: int, number: int, arguments: tuple[int, ...]) -> int:
    """What the kernel would do: the few instructions that the filter is made of."""
    words = {0: number, 4: architecture, **{16 + 8 * at: value for at, value in enumerate(arguments)}}
    at = held = 0
    while True:
        code, true, false, value = program[at]
        at += 1
        if code == fence._LOAD:
            held = words[value]
        elif code == fence._AND:
            held &= value
        elif code == fence._RETURN:
            return value
        else:
            held_true = {
                fence._EQUAL: held == value, fence._AT_LEAST: held >= value, fence._ANY_BIT: bool(held & value)
            }[code]  # fmt: skip
            at += true if held_true else false


async def test_without_a_fence_nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "fence.py"
    text = Path(fence.__file__).read_text()
    script.write_text(text.replace("if version < 1:", "if version < 1000:"))
    monkeypatch.setattr(sandbox, "_FENCE", script)
    with pytest.raises(SandboxError, match="the kernel has no Landlock"):
        await run("print('it ran')", LIMITS)
    with pytest.raises(SpecError, match=r"runs nothing here.*Landlock.*unfenced: true"):
        await Python().open(RecordingContext())
    opened = await Python(unfenced=True).open(RecordingContext())
    assert await opened.use({"code": "print(1)"}) == "1"


async def test_an_interpreter_that_cannot_start_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxError, match="ended with 3: no such thing"):
        await run("print(1)", LIMITS, interpreter=broken)


@pytest.mark.parametrize(
    ("ran", "said"),
    [
        (Ran("", 0, False, ()), "(no output; print what you want to see)"),
        (Ran("a\n", 0, False, ()), "a"),
        (Ran("", 3, False, ()), "[exit status 3]"),
        (Ran("half", -11, False, ()), "half\n[ended by signal 11; the program may use 256 MiB]"),
        (Ran("", -6, False, ()), "[ended by signal 6]"),
    ],
)
def test_how_a_program_ended_is_told(ran: Ran, said: str) -> None:
    assert told(ran, LIMITS) == said
