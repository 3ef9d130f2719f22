"""What a notebook needs around it: files in, files out, in Colab and elsewhere."""

import sys
import zipfile
from pathlib import Path

from .errors import SaveError, UNetHelpersError
from .files import written_whole


def upload(folder="uploads") -> list[Path]:
    """Ask for files in Colab and keep them in ``folder``; elsewhere there is nothing to upload: give a path."""
    if "google.colab" not in sys.modules:
        raise UNetHelpersError(
            "Uploading is for Colab. Here, write the path of your image into the field instead."
        )
    from google.colab import files

    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    uploaded = {folder / Path(name).name: data for name, data in files.upload().items()}
    for path, data in uploaded.items():
        path.write_bytes(data)
    return list(uploaded)


def take_away(folder="results", name: str = "results.zip") -> Path:
    """Everything in ``folder`` as one zip file beside it; in Colab the browser downloads it at once.
    Raises SaveError where there is nothing to take away.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
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
    print(f"{len(files)} files in {target} ({target.stat().st_size / 1e6:.1f} MB)")
    return target


def describe_figures(width: int = 940, density: float = 1.4, quality: int = 72) -> None:
    """From now on a notebook's figures are sharp on dense screens, ``width`` px wide, and say their titles as text."""
    from io import BytesIO

    from IPython import get_ipython
    from matplotlib.figure import Figure

    def jpeg(figure: Figure):
        if figure.get_layout_engine() is None:
            figure.set_layout_engine("constrained")  # or labels may be cut off
        data, inches = BytesIO(), figure.get_size_inches()
        wide = int(min(width, 80 * inches[0]))
        figure.savefig(
            data, format="jpeg", dpi=density * wide / inches[0], pil_kwargs={"quality": quality}
        )
        titles = [
            figure.get_suptitle(),
            *(ax.get_title() for ax in figure.axes),
            figure.get_supxlabel(),
        ]
        alt = ". ".join(" ".join(title.split()) for title in titles if title)
        return data.getvalue(), {
            "width": wide,
            "height": round(wide * inches[1] / inches[0]),
            "alt": alt,
        }

    formatters = get_ipython().display_formatter.formatters
    for kind in ("image/png", "image/svg+xml"):
        formatters[kind].pop(Figure, None)
    formatters["image/jpeg"].for_type(Figure, jpeg)
