"""Helpers for notebooks, in Colab and elsewhere: upload files, download results, store figures."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import SaveError, UNetHelpersError
from .files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# px on the page per inch of a figure, if the figure is narrower than a notebook's column.
PX_PER_INCH = 80


def upload(folder: str | Path = "uploads") -> list[Path]:
    """Ask the user for files in Colab, and save them in a folder.

    Parameters
    ----------
    folder : str or Path
        The folder for the files; it is made if it does not exist.

    Returns
    -------
    list of Path
        The uploaded files, for ``segment_many`` or ``read_image``.

    Raises
    ------
    UNetHelpersError
        Outside Colab. There, a file's path can be used directly.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> uh.upload()
    Traceback (most recent call last):
    ...
    unet_helpers.errors.UNetHelpersError: Uploading is for Colab. Here, write the path of your ...
    """
    if "google.colab" not in sys.modules:
        raise UNetHelpersError(
            "Uploading is for Colab. Here, write the path of your image into the field instead."
        )
    from google.colab import files

    return save_uploads(files.upload(), folder)


def save_uploads(contents: Mapping[str, bytes], folder: str | Path = "uploads") -> list[Path]:
    """Write uploaded files, given by their names, into a folder; return their paths."""
    folder = Path(folder).expanduser()
    folder.mkdir(exist_ok=True)

    paths = []
    for name, content in contents.items():
        path = folder / Path(name).name
        path.write_bytes(content)
        paths.append(path)
    return paths


def take_away(folder: str | Path = "results", name: str = "results.zip") -> Path:
    """Pack all files of a folder into one zip file beside the folder.

    In Colab the browser then downloads the zip file. An existing zip file is replaced.

    Parameters
    ----------
    folder : str or Path
        The folder with the saved results.
    name : str
        The name of the zip file.

    Returns
    -------
    Path
        The zip file.

    Raises
    ------
    SaveError
        If the folder has no files or does not exist.

    Examples
    --------
    >>> import tempfile, unet_helpers as uh
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp()) / "results"
    >>> folder.mkdir()
    >>> _ = (folder / "nuclei.csv").write_text("object,area_px")
    >>> archive = uh.take_away(folder)  # doctest: +ELLIPSIS
    1 files in ...results.zip (0.0 MB)
    """
    folder = Path(folder).expanduser()
    files = []
    if folder.is_dir():
        files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise SaveError(
            f"{folder}: nothing to take away yet. Save a result first: result.save('{folder}')."
        )

    target = folder.parent / name
    with written_whole(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder.parent))

    if "google.colab" in sys.modules:
        from google.colab import files as browser

        browser.download(str(target))

    megabytes = target.stat().st_size / 1e6
    print(f"{len(files)} files in {target} ({megabytes:.1f} MB)")
    return target


def describe_figures(width: int = 940, density: float = 1.4, quality: int = 68) -> None:
    """Make a notebook's figures sharp on high-resolution screens, with their titles as alt text.

    After this call, each figure of the notebook is stored as a JPEG, and its titles become the text
    that a screen reader reads instead of the picture. Outside a notebook it does nothing.

    Parameters
    ----------
    width : int
        The largest width of a figure on the page, in px; by default that of a notebook's column.
    density : float
        Stored px per px on the page; more than 1 for high-resolution screens.
    quality : int
        Quality of the JPEG, 1 to 95. With the default, this course's notebook is smaller than 3 MB.

    Examples
    --------
    >>> import unet_helpers as uh
    >>> uh.describe_figures(width=700)
    """
    from IPython import get_ipython
    from matplotlib.figure import Figure

    shell = get_ipython()
    if shell is None:
        return

    formatters = shell.display_formatter.formatters
    for kind in ("image/png", "image/svg+xml"):
        formatters[kind].pop(Figure, None)
    jpeg = partial(described_jpeg, max_width=width, density=density, quality=quality)
    formatters["image/jpeg"].for_type(Figure, jpeg)


def described_jpeg(
    figure: Figure, max_width: int, density: float, quality: int
) -> tuple[bytes, dict[str, int | str]]:
    """Return a figure as a JPEG, and IPython's metadata: size on the page, titles as alt text."""
    if figure.get_layout_engine() is None:
        # Without a layout engine, labels may be cut off at the figure's border.
        figure.set_layout_engine("constrained")

    inches_wide, inches_high = figure.get_size_inches()
    width = int(min(max_width, PX_PER_INCH * inches_wide))
    height = round(width * inches_high / inches_wide)
    dpi = density * width / inches_wide

    file = BytesIO()
    figure.savefig(file, format="jpeg", dpi=dpi, pil_kwargs={"quality": quality})
    return file.getvalue(), {"width": width, "height": height, "alt": titles_of(figure)}


def titles_of(figure: Figure) -> str:
    """Join the figure's title, its panels' titles and the note below it in one line."""
    titles = [figure.get_suptitle()]
    titles += [ax.get_title() for ax in figure.axes]
    titles.append(figure.get_supxlabel())
    lines = [" ".join(title.split()) for title in titles if title]
    return ". ".join(lines)
