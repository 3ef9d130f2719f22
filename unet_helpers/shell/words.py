"""Messages of the package in the words of the shell: ``zoom=1.1`` becomes ``--zoom 1.1``.

Errors, warnings and notes name options as Python writes them. The command line passes each of its
messages through ``in_shell_words``.
"""

import re
import shlex
from ast import literal_eval
from collections.abc import Collection

# The value of an option as Python writes it: text in quotation marks, a list, a word or number.
PYTHON_VALUE = r"\.\.\.|'[^']*'|\"[^\"]*\"|\([^()]*\)|\[[^\[\]]*\]|-?[\w.]*[\w]|"


def in_shell_words(text: str, names: Collection[str]) -> str:
    """Write every option of a text, of those in ``names``, as it is written in a shell.

    >>> in_shell_words("Try zoom=1.1, or channel='far red'.", ["zoom", "channel"])
    "Try --zoom 1.1, or --channel 'far red'."
    >>> in_shell_words("pass overwrite=True or another folder", ["overwrite"])
    'pass --overwrite or another folder'
    """
    if not names:
        return text
    either = "|".join(map(re.escape, names))
    option = re.compile(rf"(?<![\w.-])({either})=({PYTHON_VALUE})")
    return option.sub(lambda found: shell_option(found[1], found[2]), text)


def shell_option(name: str, value: str) -> str:
    """Write an option with a value that Python wrote."""
    option = f"--{name.replace('_', '-')}"
    if value in ("", "True"):
        return option
    try:
        parsed = literal_eval(value)
    except (ValueError, SyntaxError):
        return f"{option} {value}"
    if isinstance(parsed, tuple | list):
        return f"{option} {','.join(map(str, parsed))}"
    return f"{option} {shlex.quote(str(parsed))}"
