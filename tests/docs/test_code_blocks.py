"""Every code block of docs/ and of the README runs, offline, beside the files that it names."""

import ast
import re
import shlex
import shutil
import socket

import pytest
from helpers.pages import CodeBlock, code_blocks, write_files_of_the_pages
from helpers.places import ROOT

import unet_helpers as uh
from unet_helpers.samples import table as table_of_samples
from unet_helpers.shell.app import main

DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(ROOT)): path for path in sorted(DOCS.rglob("*.md")) if code_blocks(path)
}
WITH_SLOW_BLOCKS = [
    name for name, path in PAGES.items() if any(block.mark == "slow" for block in code_blocks(path))
]

# Each line of a block that is not run begins with one of these: they install, or need a network.
NOT_RUN = (
    "pip install ",
    "%pip install ",
    "git clone ",
    "cd ",
    "python3 -m venv ",
    ". .venv/",
    "eval ",
    "jupyter lab",
)

# These commands are run by .ci/run.
RUN_BY_CI = ("jupyter nbconvert ",)

# Pages whose packages are not to be had for Python 3.10.
NEEDS = {"docs/guides/large_images.md": "zarr"}

NEEDS_A_NETWORK = re.compile(r"distributed|uh\.upload|uh\.page|brain_flair_buda2019")

SHIPPED = {row["card"] for row in table_of_samples().values() if "file" in row}


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with all files that the pages name."""
    folder = tmp_path_factory.mktemp("pages")
    write_files_of_the_pages(folder)
    return folder


@pytest.fixture
def in_a_copy(files, tmp_path, monkeypatch):
    """Work in a copy of these files, without a network and without windows for figures."""
    import matplotlib.pyplot as plt

    def refuse(*_):
        raise OSError("a page of the documentation must run without a network")

    folder = tmp_path / "here"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    plt.switch_backend("agg")
    yield folder
    plt.close("all")


def run_blocks(name: str, with_slow: bool) -> None:
    """Run the blocks of a page from top to bottom; all Python of a page shares its names."""
    namespace: dict = {"__name__": "page"}
    for block in code_blocks(PAGES[name]):
        if block.mark == "no-run" or (block.mark == "slow" and not with_slow):
            continue
        if block.language == "python":
            # Line numbers of an error are those of the page.
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, name, "exec"), namespace)
        elif block.mark != "parse":
            for command in commands_of(block):
                assert main(arguments_of(command)) == 0, command


def commands_of(block: CodeBlock) -> list[str]:
    """Give the commands of a shell block, without comments and empty lines."""
    lines = (line.split("  #")[0].strip() for line in block.text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def arguments_of(command: str) -> list[str]:
    """Give what follows `unet-helpers` or `python -m unet_helpers`."""
    words = shlex.split(command)
    if words[0] == "unet-helpers":
        return words[1:]
    assert words[:3] == ["python", "-m", "unet_helpers"], command
    return words[3:]


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_runs(in_a_copy, name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    run_blocks(name, with_slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_SLOW_BLOCKS)
def test_the_slow_code_of_a_page_runs(in_a_copy, name):
    run_blocks(name, with_slow=True)


def test_the_lines_of_the_readme_run_in_their_order_and_twice(in_a_copy, capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"`(unet-helpers [^`]+)`", readme)
    assert len(commands) == 2
    for _ in range(2):
        for block in code_blocks(ROOT / "README.md"):
            if block.language == "python":
                exec(compile(block.text, "README.md", "exec"), {})
        for command in commands:
            assert main(arguments_of(command)) == 0, command
    out, err = capsys.readouterr()
    assert out.count("results/retina_retinal_vessels_overlay.png") >= 4
    assert "Traceback" not in err


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_example_on_the_page_of_a_network_runs(in_a_copy, name):
    site_hooks = pytest.importorskip("docs.site_hooks")
    example = site_hooks.example_of(uh.MODELS[name])
    code = example.removeprefix("```python\n").removesuffix("```")
    exec(compile(code, name, "exec"), {})


@pytest.mark.parametrize("name", PAGES)
def test_commands_that_take_long_have_the_options_that_a_page_gives_them(name, capsys):
    for block in code_blocks(PAGES[name]):
        if block.mark != "parse":
            continue
        for command in commands_of(block):
            options = {word for word in shlex.split(command) if word.startswith("--")}
            script = re.match(r"python (tests/\S+\.py)", command)
            if script:
                told = (ROOT / script[1]).read_text(encoding="utf-8")
            else:
                main([arguments_of(command)[0], "--help"])
                told = capsys.readouterr().out
            missing = {option for option in options if option not in told}
            assert not missing, command


@pytest.mark.parametrize("name", PAGES)
def test_only_what_installs_or_needs_a_network_is_not_run(name):
    for block in code_blocks(PAGES[name]):
        assert block.language in ("python", "sh"), name
        assert block.mark in ("", "no-run", "parse", "slow"), name
        if block.mark != "no-run":
            continue
        if block.language == "python":
            ast.parse(block.text)
            assert NEEDS_A_NETWORK.search(block.text), name
        else:
            commands = commands_of(block)
            assert commands
            assert all(c.startswith(NOT_RUN + RUN_BY_CI) for c in commands), name


def test_the_readme_runs_nothing_that_another_test_does_not_run():
    for block in code_blocks(ROOT / "README.md"):
        if block.language == "sh":
            commands = commands_of(block)
            assert all(c.startswith(NOT_RUN + RUN_BY_CI) for c in commands)
