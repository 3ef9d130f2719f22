"""Advice for Python in the words of the shell."""

import pytest

from unet_helpers.shell.words import in_shell_words

NAMES = ("zoom", "channel", "overwrite", "spacing")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Try zoom=1.1.", "Try --zoom 1.1."),
        ("take one: channel='blue'.", "take one: --channel blue."),
        ("choose another one with channel=", "choose another one with --channel"),
        ("channel='far red'", "--channel 'far red'"),
        ("overwrite=True replaces it", "--overwrite replaces it"),
        ("its threshold=0.5 stays", "its threshold=0.5 stays"),
    ],
)
def test_arguments_become_options(said, expected):
    assert in_shell_words(said, NAMES) == expected
