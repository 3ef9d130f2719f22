"""The page of a network in headless Chromium, opened from disk, without a network."""

import os
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.live_pages import MARKS, PATIENCE, give, opened, small_network
from helpers.places import DATA, SAMPLES
from helpers.writers import dicom, raw_png
from PIL import Image

import unet_helpers as uh
from unet_helpers.inference.scale import looks_for_objects
from unet_helpers.results.chest import cardiothoracic

pytestmark = MARKS
pytest.importorskip("onnxscript")

# Share of pixels whose labels may differ from Python's.
MOST_DIFFERENT = 0.005

# Bytes of a page.
LARGEST_PAGE = 12_000_000

# Milliseconds for which a large image may stop the page at a time, on a machine that is busy.
LONGEST_PAUSE = 4000


def saved(page, button) -> Path:
    """Click on a button, and return the file that it saves."""
    with page.expect_download() as waiting:
        page.click(button)
    return waiting.value.path()


def mask_of(page) -> np.ndarray:
    return np.array(Image.open(saved(page, "#save-mask")))


def slide(page, step) -> None:
    """Move the slider to a step, and wait for the worker's mask."""
    page.eval_on_selector(
        "#threshold", "(s, v) => { s.value = v; s.dispatchEvent(new Event('input')) }", str(step)
    )
    for _ in range(600):
        if page.evaluate("state.step") == step:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the mask did not come")


IMAGES = {
    "lungs": [SAMPLES / "lungs/MCUCXR_0003_0.png", DATA / "lungs/images/CHNCXR_0129_0.jpg"],
    "retinal_vessels": [
        uh.sample("retina"),
        SAMPLES / "retinal_vessels/Image_11L.jpg",
        DATA / "retinal_vessels/images/drive_24.jpg",
    ],
    "em_membranes": [SAMPLES / "em_membranes/25.png", DATA / "em_membranes/images/18.png"],
    "nuclei_he": [uh.sample("he"), DATA / "nuclei_he/images/consep_train_19_004.jpg"],
    "brain_flair": [
        SAMPLES / "brain_flair/TCGA_CS_4944.png",
        SAMPLES / "brain_flair/TCGA_DU_6404_19850629_35.tif",
    ],
    "nuclei": [uh.sample("fluorescence"), *SAMPLES.glob("nuclei/*.png")],
    "chest": [DATA / "chest/images/JPCLN005.jpg", DATA / "lungs/images/CHNCXR_0129_0.jpg"],
    "artery_vein": [uh.sample("retina"), DATA / "retinal_vessels/images/drive_24.jpg"],
    "dic_cells": [DATA / "dic_cells/images/hela_01_050.png"],
}


@pytest.mark.parametrize("card", IMAGES)
def test_a_page_gives_the_labels_of_python(browser, pages, card):
    path = pages(card)
    assert path.stat().st_size < LARGEST_PAGE
    page = opened(browser, path)
    for image in IMAGES[card]:
        if not image.is_file():
            continue
        model = uh.load_model(card, engine="torch")
        zoom = None
        if looks_for_objects(uh.MODELS[card]):
            diameter = round(24 / uh.segment(image, model, progress=False).zoom)
            zoom = 24 / diameter
            page.eval_on_selector("#scale", "(e, v) => { e.value = v }", str(diameter))
        give(page, image)
        expected = uh.segment(image, model, zoom=zoom, progress=False).labels
        found = mask_of(page)
        assert found.shape == expected.shape
        assert expected.any()
        assert np.mean(found != expected) < MOST_DIFFERENT
        if shots := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{shots}/page-{card}-{image.stem[:16]}.png", full_page=True)
    assert page.faults == []


def png_header(width, height) -> bytes:
    """A PNG that says it is very large."""

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


SAMPLE_BYTES = uh.sample("fluorescence").read_bytes()
MALFORMED = {
    "text.png": (b"this is no image", "none of PNG"),
    "truncated.png": (SAMPLE_BYTES[: len(SAMPLE_BYTES) // 2], "end is missing"),
    "truncated.jpg": (uh.sample("he").read_bytes()[:9000], "damaged"),
    "wide.png": (png_header(30000, 30000), "too many for a page"),
    "empty.png": (b"", "it is empty"),
    "damaged.dcm": (bytes(128) + b"DICM" + b"\xff" * 60, "damaged"),
    "damaged.tif": (b"II*\0" + b"\xff" * 60, "damaged"),
    "damaged.nii.gz": (b"\x1f\x8b" + b"\xff" * 60, "gzip compression is damaged"),
}


def test_a_malformed_file_gets_a_sentence_and_the_page_goes_on(browser, pages, tmp_path):
    page = opened(browser, pages("small"))
    for name, (content, sentence) in MALFORMED.items():
        path = tmp_path / name
        path.write_bytes(content)
        status = give(page, path)
        assert status.startswith(f"{name}: ")
        assert sentence in status
    assert give(page, uh.sample("fluorescence")).startswith("Answered in")
    assert page.faults == []


def test_dropped_images_tables_and_the_slider(browser, pages, tmp_path):
    page = opened(browser, pages("small"))
    page.evaluate(
        """(values) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([Uint8Array.from(values)], "cells.png"));
            dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
        }""",
        list(SAMPLE_BYTES),
    )
    page.wait_for_selector("body[data-answered='cells.png']", timeout=PATIENCE)

    model = small_network()
    result = uh.segment(uh.sample("fluorescence"), model, zoom=1, progress=False)
    steps = page.evaluate("facts.steps")
    for threshold in (0.3, 0.5, 0.7):
        slide(page, int(np.abs(np.array(steps) - threshold).argmin()))
        expected = replace(result, threshold=threshold)
        assert np.mean(mask_of(page) != expected.labels) < MOST_DIFFERENT
        table = pd.read_csv(saved(page, "#save-table"))
        assert abs(len(table) - expected.objects.max()) <= 0.05 * len(table) + 2
        assert set(table["class"]) == {"class 1"}
    assert page.faults == []


def test_other_formats_are_read(browser, pages, tmp_path):
    """The same image as TIFF of 8 and 16 bits, DICOM and NIfTI gives the same mask."""
    import nibabel as nib

    pixels = np.asarray(Image.open(uh.sample("fluorescence")))[:200, :240]
    stack = np.stack([pixels.T[::-1, ::-1], 0 * pixels.T], axis=2).astype(np.int16)
    Image.fromarray(pixels).save(tmp_path / "cells.png")
    Image.fromarray(pixels).save(tmp_path / "cells.webp", lossless=True)
    tifffile.imwrite(tmp_path / "grey8.tif", pixels, compression="zlib")
    tifffile.imwrite(tmp_path / "grey16.tif", pixels.astype(np.uint16) * 200, byteorder=">")
    dicom(pixels.astype(np.uint16) * 3)(tmp_path / "cells.dcm")
    nib.save(nib.Nifti1Image(stack[..., ::-1], np.eye(4)), tmp_path / "cells.nii.gz")

    page = opened(browser, pages("small"))
    give(page, tmp_path / "cells.png")
    expected = mask_of(page)
    assert len(np.unique(expected)) > 1
    for name in ("cells.webp", "grey8.tif", "grey16.tif", "cells.dcm", "cells.nii.gz"):
        assert give(page, tmp_path / name).startswith("Answered in"), name
        assert np.mean(mask_of(page) != expected) < MOST_DIFFERENT, name
    assert page.is_visible("#slice")
    assert page.faults == []


@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_a_png_of_16_bits_has_the_labels_of_python(browser, pages, tmp_path, kind):
    """Grey or colours, with or without alpha; all grey levels are one of 8 bits."""
    grey = np.asarray(Image.open(uh.sample("fluorescence")))[:200, :240].astype(np.uint16)
    opaque = np.full_like(grey, 65535)
    planes = {0: [grey], 2: [grey, grey // 2, grey], 4: [grey], 6: [grey, grey // 2, grey]}
    planes = [30_000 + plane for plane in planes[kind]] + [opaque] * (kind >= 4)
    raw_png(np.stack(planes, axis=-1), 16, kind)(tmp_path / "cells.png")

    expected = uh.segment(tmp_path / "cells.png", small_network(), zoom=1, progress=False).labels
    assert len(np.unique(expected)) > 1
    page = opened(browser, pages("small"))
    assert give(page, tmp_path / "cells.png").startswith("Answered in")
    assert np.mean(mask_of(page) != expected) < MOST_DIFFERENT
    assert page.faults == []


def test_white_of_16_bits_is_not_the_brightest_pixel(browser, pages, tmp_path):
    """Light that fills a third of 16 bits is no bright field in Python either."""
    pixels = np.asarray(Image.open(uh.sample("he")))[:128, :192].astype(np.uint16) // 16 + 20_000
    raw_png(pixels, 16, 2)(tmp_path / "he.png")
    model = uh.load_model("nuclei_he", engine="torch")
    expected = uh.segment(tmp_path / "he.png", model, zoom=1, progress=False).labels
    assert expected.any()
    page = opened(browser, pages("nuclei_he"))
    assert give(page, tmp_path / "he.png").startswith("Answered in")
    assert np.mean(mask_of(page) != expected) < MOST_DIFFERENT


def test_a_chest_has_layers_their_areas_and_the_cardiothoracic_ratio(browser, pages):
    image = DATA / "chest/images/JPCLN005.jpg"
    if not image.is_file():
        pytest.skip("the data set is not beside the repository")
    result = uh.segment(image, uh.load_model("chest", engine="torch"), progress=False)
    ratio = cardiothoracic(result).ratio
    page = opened(browser, pages("chest"))
    give(page, image)
    said = re.search(r"Cardiothoracic ratio ([\d.]+):", page.text_content("#table-note"))
    assert float(said[1]) == pytest.approx(ratio, abs=0.005)

    # Clavicles overlap lungs: areas are those of whole masks.
    table = pd.read_csv(saved(page, "#save-table")).set_index("class")["size_px"]
    for name in result.card.classes:
        assert table[name] == pytest.approx(result.mask(name).sum(), rel=0.01)
    assert table.sum() > np.count_nonzero(mask_of(page))

    # Look inside: of overlapping classes it is the most probable one.
    row, column = np.argwhere(result.mask("right lung")).mean(axis=0).astype(int)
    page.evaluate(f"lookAt({row}, {column})")
    page.wait_for_selector("body[data-inside]", timeout=PATIENCE)
    probability = re.search(
        r"Probability at the pixel: ([\d.]+)", page.text_content("#inside-words")
    )
    assert float(probability[1]) > 0.9
    assert page.faults == []


def test_the_sample_inside_is_segmented_and_an_answer_can_be_cancelled(browser, pages):
    page = opened(browser, pages("nuclei"))
    page.click("#sample")
    page.wait_for_selector("#cancel:visible", timeout=PATIENCE)
    page.click("#cancel")
    assert page.text_content("#status") == "Cancelled."
    page.click("#sample")
    page.wait_for_selector("body[data-answered='fluorescence.png']", timeout=PATIENCE)
    assert page.faults == []


def test_a_large_image_does_not_stop_the_page(browser, pages, tmp_path):
    pixels = np.tile(np.asarray(Image.open(uh.sample("fluorescence"))), (8, 8))
    Image.fromarray(pixels).save(tmp_path / "large.png")
    page = opened(browser, pages("small"))
    page.evaluate(
        """() => {
            window.longest = 0;
            let last = performance.now();
            setInterval(() => {
                window.longest = Math.max(window.longest, performance.now() - last);
                last = performance.now();
            }, 20);
        }"""
    )
    assert give(page, tmp_path / "large.png").startswith("Answered in")
    slide(page, 80)
    assert mask_of(page).shape == (4096, 4096)
    assert page.evaluate("window.longest") < LONGEST_PAUSE
    assert page.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found_by_axe(browser, pages, scheme):
    page = opened(browser, pages("small"), color_scheme=scheme, bypass_csp=True)
    give(page, uh.sample("fluorescence"))
    package = pytest.importorskip("axe_playwright_python")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run()")
    assert [(v["id"], [n["html"][:100] for n in v["nodes"]]) for v in found["violations"]] == []


def test_a_browser_without_jspi_uses_webassembly(browser, pages, tmp_path):
    text = pages("small").read_text("utf-8")
    start = text.index('"use strict";', text.index('id="worker">'))
    changed = text[:start] + "delete WebAssembly.Suspending;\n" + text[start:]
    (tmp_path / "old.html").write_text(changed, encoding="utf-8")
    page = opened(browser, tmp_path / "old.html")
    assert page.get_attribute("body", "data-provider") == "WebAssembly"
    assert give(page, uh.sample("fluorescence")).startswith("Answered in")
