"""Many images at once: a folder, a list, a web address; on any ``concurrent.futures`` executor."""

from collections.abc import Iterable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from ..download import fetch
from ..errors import ImageError, UNetHelpersError
from ..images.image import MedicalImage
from ..images.read import read_image
from ..networks.load import load_model
from ..results.segmentation import Segmentation
from .segment import segment


def find_images(source) -> list:
    """What to segment: a file, web address, array or image is one; a folder gives the files in it, a list its items."""
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return [fetch(source)]
    if isinstance(source, str | Path):
        if not str(source).strip():  # pathlib would take it for the current folder
            raise ImageError("No image given: the path is empty. Write the path of a file or of a folder.")
        path = Path(source)
        inside = sorted(p for p in path.glob("[!.]*") if p.is_file())  # empty where the path is a file
        slices = [p for p in inside if p.suffix.lower() == ".dcm" or not p.suffix]
        return inside if inside and len(slices) < len(inside) else [path]  # a folder of DICOM slices is one volume
    if isinstance(source, Iterable) and not hasattr(source, "shape") and not isinstance(source, MedicalImage):
        return [item for part in source for item in find_images(part)]
    return [source]


def segment_many(
    source, model, executor: Executor | None = None, *, progress: bool = True, **options
) -> list[Segmentation]:
    """Segment all images of ``source`` (file, folder, web address, or a list of them) with one network.

    A file that is no image is named in a line and left out; ImageError where none is left. ``executor`` runs
    them side by side (threads: PyTorch works on all cores already; processes or a cluster for more).
    """
    images, model = find_images(source), load_model(model)
    work = partial(try_one, model=model, progress=progress and len(images) == 1, **options)
    answers = (executor.map if executor else map)(work, images)
    results = []
    for answer in tqdm(answers, total=len(images), desc="images", disable=not progress or len(images) == 1):
        if isinstance(answer, Segmentation):
            results.append(answer)
        elif len(images) == 1:
            raise answer
        else:
            tqdm.write(f"left out: {answer}")
            last = answer
    if not results:
        raise last if images else ImageError(f"{source}: there is nothing in this folder.")
    return results


def try_one(image, model, **options) -> Segmentation | UNetHelpersError:
    try:
        return segment(read_image(image), model, **options)
    except UNetHelpersError as error:
        return error
