"""Every public name says what it takes, and shows it in an example that runs."""

import doctest
import inspect

import pytest

import unet_helpers as uh

# Errors say it all in a sentence; a version is a text, and a table of cards has its own page.
WITHOUT_EXAMPLE = {name for name in uh.__all__ if name.endswith("Error")} | {
    "__version__",
    "MODELS",
}
PUBLIC = sorted(set(uh.__all__) - WITHOUT_EXAMPLE)
FUNCTIONS = [name for name in PUBLIC if inspect.isfunction(getattr(uh, name))]
CLASSES = [name for name in PUBLIC if inspect.isclass(getattr(uh, name))]
METHODS = [
    f"{name}.{method}"
    for name in ("Segmentation", "MedicalImage")
    for cls in getattr(uh, name).__mro__
    for method, function in vars(cls).items()
    if inspect.isfunction(function) and not method.startswith("_")
]


def public_object(name: str) -> object:
    """Find ``uh.name``, also that of a method."""
    found = uh
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, for the files that examples write, and no windows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")


def test_every_public_name_is_a_function_a_class_or_left_out_on_purpose():
    assert set(FUNCTIONS) | set(CLASSES) == set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_runs(name, elsewhere):
    tests = doctest.DocTestFinder(recurse=False).find(public_object(name), f"uh.{name}")
    assert tests[0].examples, f"uh.{name} has no example"

    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options)
    printed: list[str] = []
    for test in tests:
        runner.run(test, out=printed.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_the_docstring_names_every_parameter_and_what_comes_back(name):
    function = public_object(name)
    text = inspect.getdoc(function)
    signature = inspect.signature(function)

    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    for parameter in parameters:
        assert parameter.name in text, f"uh.{name} does not say what {parameter.name} is"
    if parameters:
        assert "Parameters\n----------" in text
    if signature.return_annotation not in (None, "None"):
        assert "Returns\n-------" in text
