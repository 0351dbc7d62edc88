import sys
from importlib import metadata, util
from pathlib import Path
from types import SimpleNamespace

import pytest

import agents
from lm_envs.shadowing import check_agents

OURS = Path(agents.__file__).parent


class Rival:
    """A distribution that put one file where it is told."""

    def __init__(self, folder):
        self.folder = folder
        self.files = [Path("agents/run.py"), Path("openai_agents.dist-info/METADATA")]

    def locate_file(self, file):
        return self.folder.parent / file


def install(monkeypatch, folder):
    monkeypatch.setattr(metadata, "distribution", lambda name: {"openai-agents": Rival(folder)}[name])


def test_this_package_alone_is_fine():
    check_agents()


def test_a_rival_elsewhere_is_fine(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path / "agents")
    check_agents()


def test_files_of_both_in_one_folder_are_refused(monkeypatch):
    install(monkeypatch, OURS)
    with pytest.raises(ImportError, match="openai-agents has installed its files among those of lm-envs.*pip uninstall openai-agents"):
        check_agents()


@pytest.mark.parametrize("imported", [True, False])
def test_another_package_of_that_name_is_refused(monkeypatch, tmp_path, imported):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")
    spec = util.spec_from_file_location("agents", tmp_path / "agents" / "__init__.py")
    if imported:
        monkeypatch.setitem(sys.modules, "agents", SimpleNamespace(__spec__=spec))
    else:
        monkeypatch.delitem(sys.modules, "agents")
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=f"'agents' at {tmp_path}.* is not the one of lm-envs"):
        check_agents()
    assert sys.modules.get("agents") is not agents
