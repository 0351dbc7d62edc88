import pytest

from lm_envs.extras import explained


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "agents"), ("torch.nn", "agents"), ("matplotlib.pyplot", "benchmarks"), ("peft", "lora"), ("mlflow", "trackers")],
)
def test_the_extra_is_named(module, extra):
    assert f'pip install "lm-envs[{extra}]"' in explained(ModuleNotFoundError("gone", name=module))


def test_other_errors_keep_their_words():
    assert explained(ModuleNotFoundError("No module named 'foo'", name="foo")) == "No module named 'foo'"
    assert explained(ImportError("cannot import name 'x'")) == "cannot import name 'x'"
