"""The examples in docstrings are true."""

import doctest
from importlib import import_module

import pytest
from helpers.places import ROOT

MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "unet_helpers").rglob("*.py"))
    if ">>>" in path.read_text("utf-8")
]


def test_there_are_examples():
    assert len(MODULES) >= 2


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, tried = doctest.testmod(import_module(name))
    assert tried and not failed
