"""The code blocks of Markdown pages, and the files that the pages of docs/ speak of."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

import unet_helpers as uh
from helpers.writers import dicom
from unet_helpers.samples import FOLDER

FENCE = re.compile(r"^```(?P<language>\w+)(?: (?P<mark>[\w-]+))?\n(?P<text>.*?)^```", re.M | re.S)


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block of a page."""

    language: str  # 'python' or 'sh'
    mark: str  # '' runs; 'slow' runs in the slow lane; 'parse': options are checked; 'no-run'
    text: str
    line: int  # of its first line in the page, from 1


def code_blocks(path: Path) -> list[CodeBlock]:
    """Give the fenced code blocks of a page, from top to bottom."""
    page = path.read_text(encoding="utf-8")
    blocks = []
    for match in FENCE.finditer(page):
        line = page[: match.start("text")].count("\n") + 1
        blocks.append(CodeBlock(match["language"], match["mark"] or "", match["text"], line))
    return blocks


def write_files_of_the_pages(folder: Path) -> None:
    """Write all images that the pages of docs/ name, made from the samples that are shipped."""
    write_microscopy(folder)
    write_radiology(folder)

    # A band across the eye: the whole of it would take five times as long.
    with Image.open(uh.sample("retina")) as retina:
        band = retina.crop((0, 550, retina.width, 850))
    band.save(folder / "my_photo.jpg", quality=95)
    (folder / "photos").mkdir()
    band.save(folder / "photos" / "left.jpg", quality=95)

    shutil.copytree(FOLDER, folder / "sample_images")


def write_microscopy(folder: Path) -> None:
    """Write single images, a plate, a movie, a slide, and images with masks to learn from."""
    cells = np.asarray(Image.open(uh.sample("fluorescence")))
    ids = np.asarray(Image.open(uh.sample("fluorescence", ground_truth=True)))
    tissue = np.asarray(Image.open(uh.sample("he")).convert("RGB"))

    tifffile.imwrite(folder / "cells.tif", cells)
    Image.fromarray(ids).save(folder / "cells_truth.png")
    shutil.copy(uh.sample("he"), folder / "tissue.jpg")

    for well, left in (("A1", 0), ("A2", 128)):
        (folder / "plate" / well).mkdir(parents=True)
        tifffile.imwrite(folder / "plate" / well / "dapi.tif", cells[:128, left : left + 128])

    crop = cells[:128, :128]
    frame = np.stack([crop, crop[::-1]])
    tifffile.imwrite(
        folder / "movie.ome.tif",
        np.stack([frame, frame]),
        metadata={"axes": "TCYX", "Channel": {"Name": ["DAPI", "GFP"]}},
    )

    tiles = {"tile": (256, 256), "photometric": "rgb"}
    with tifffile.TiffWriter(folder / "slide.tif") as slide:
        slide.write(tissue[:256], subifds=1, **tiles)
        slide.write(tissue[:256:2, ::2], subfiletype=1, **tiles)

    (folder / "lesions").mkdir()
    (folder / "masks").mkdir()
    (folder / "fields").mkdir()
    for number in range(1, 5):
        left = 128 * (number - 1)
        window = np.s_[128:256, left : left + 128]
        Image.fromarray(cells[window]).save(folder / "lesions" / f"{number}.png")
        Image.fromarray((ids[window] > 0).astype(np.uint8)).save(folder / "masks" / f"{number}.png")
        Image.fromarray(cells[window]).save(folder / "fields" / f"{number}.png")
        Image.fromarray(ids[window]).save(folder / "fields" / f"{number}_ids.png")


def write_radiology(folder: Path) -> None:
    """Write an X-ray that is only drawn, the crop of a hippocampus, a head, and a DICOM series."""
    import nibabel as nib

    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    lungs = np.exp(-((abs(x) - 0.45) ** 2) / 0.05 - y**2 / 0.4)
    Image.fromarray((200 - 150 * lungs).astype(np.uint8)).save(folder / "chest.png")

    shutil.copy(uh.sample("hippocampus_mni"), folder / "hippocampus.nii.gz")
    template = Path(uh.__file__).parent / "templates" / "mni_icbm152_t1_2mm.nii.gz"
    shutil.copy(template, folder / "head.nii.gz")

    (folder / "series").mkdir()
    head = np.asarray(nib.load(template).dataobj)
    for number, z in enumerate(range(35, 41)):
        axial = np.rot90(head[..., z]).astype(np.int16)
        write = dicom(
            np.ascontiguousarray(axial),
            Modality="MR",
            PixelSpacing=[2.0, 2.0],
            SliceThickness=2.0,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[-90.0, -108.0, 2.0 * number],
            SeriesInstanceUID="1.2.3",
            AcquisitionNumber=2,
            StudyInstanceUID="1.2",
            FrameOfReferenceUID="1.2.4",
            PatientID="nobody",
            PatientName="",
            PatientBirthDate="",
            PatientSex="",
            StudyDate="",
            StudyTime="",
            StudyID="",
            AccessionNumber="",
            ReferringPhysicianName="",
        )
        write(folder / "series" / f"{number}.dcm")
