"""Pixel sizes in the tags and descriptions of microscopes and scanners."""

import json

import numpy as np
import pytest
import tifffile

import unet_helpers as uh
from unet_helpers.images.lengths import length_of, millimetres, number_of
from unet_helpers.images.tiff_sizes import vendor_spacing

NOISE = np.random.default_rng(0).integers(0, 250, (40, 50)).astype(np.uint8)

HELIOS = "[User]\r\nUser=x\r\n[EScan]\r\nPixelWidth=1e-6\r\n[Scan]\r\n{}\r\n"

PHILIPS = (
    '<?xml version="1.0"?><DataObject ObjectType="DPUfsImport">'
    '<Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">{}</Attribute>'
    '<Attribute Name="DICOM_PIXEL_SPACING">"0.002" "0.002"</Attribute></DataObject>'
)

OPENSLIDE = (
    "<image><property><name>openslide.mpp-x</name><value type='VipsRefString'>0.5</value>"
    "</property><property><name>openslide.mpp-y</name><value>0.25</value></property></image>"
)


def text_tag(code: int, text: str) -> tuple:
    """An extra tag with a text, for ``tifffile.imwrite``."""
    return (code, "s", 0, text, True)


def bytes_tag(code: int, text: str) -> tuple:
    """An extra tag of bytes."""
    data = text.encode("utf-8")
    return (code, 1, len(data), data, True)


FILES = {
    "Aperio": ({"description": "Aperio Leica|AppMag = 20|MPP = 0.5040"}, 0.504e-3),
    "Aperio with a comma": ({"description": "Aperio|MPP = 0,25|"}, 0.25e-3),
    "Aperio without a size": ({"description": "Aperio|AppMag = 20"}, None),
    "libvips": ({"description": OPENSLIDE}, (0.25e-3, 0.5e-3)),
    "Philips": (
        {"description": PHILIPS.format('"0.00025" "0.0005"'), "software": "Philips DP v1.0"},
        (0.25e-3, 0.5e-3),
    ),
    "Ventana": ({"extratags": [bytes_tag(700, '<iScan Mode="x" ScanRes="0.465"/>')]}, 0.465e-3),
    "FEI Helios": (
        {"extratags": [text_tag(34682, HELIOS.format("PixelWidth=4e-9\r\nPixelHeight=8e-9"))]},
        (8e-6, 4e-6),
    ),
    "FEI without a height": (
        {"extratags": [text_tag(34682, HELIOS.format("PixelWidth=4e-9"))]},
        4e-6,
    ),
    "FEI SFEG": ({"extratags": [text_tag(34680, "[Beam]\r\nPixelWidth=5e-9\r\n")]}, 5e-6),
    "Zeiss nm": (
        {"extratags": [text_tag(34118, "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 4.0 nm\r\n")]},
        4e-6,
    ),
    "Zeiss µm": (
        {"extratags": [bytes_tag(34118, "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 1.5 µm\r\n")]},
        1.5e-3,
    ),
    "Zeiss pm": (
        {"extratags": [text_tag(34118, "AP_PIXEL_SIZE\r\nPixel Size = 930.5 pm\r\n")]},
        0.9305e-6,
    ),
    "Micro-Manager": ({"extratags": [text_tag(51123, json.dumps({"PixelSizeUm": 0.65}))]}, 0.65e-3),
    "Micro-Manager 1": (
        {"extratags": [text_tag(51123, json.dumps({"PixelSize_um": "0.65"}))]},
        0.65e-3,
    ),
    "Micro-Manager, not calibrated": (
        {"extratags": [text_tag(51123, json.dumps({"PixelSizeUm": 0.0}))]},
        None,
    ),
    "Gatan": (
        {
            "extratags": [
                (65009, "f", 1, 4.0, True),
                (65010, "f", 1, 8.0, True),
                text_tag(65003, "nm"),
                text_tag(65004, "nm"),
            ]
        },
        (8e-6, 4e-6),
    ),
    "TESCAN": (
        {"extratags": [bytes_tag(50431, "[MAIN]\r\nPixelSizeX=4e-009\r\nPixelSizeY=8e-009\r\n")]},
        (8e-6, 4e-6),
    ),
    "Nikon": (
        {"extratags": [bytes_tag(65332, '<dCalibration runtype="double" value="0.65"/>')]},
        0.65e-3,
    ),
    "millimetres": ({"resolution": (4000, 2000), "resolutionunit": 4}, (0.5e-3, 0.25e-3)),
    "micrometres": ({"resolution": (4, 2), "resolutionunit": 5}, (0.5e-3, 0.25e-3)),
    "inches": ({"resolution": (101600, 50800), "resolutionunit": "INCH"}, (0.5e-3, 0.25e-3)),
    "a screen": ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
}


@pytest.mark.parametrize("name", FILES)
def test_the_size_that_a_program_left_is_read(name, tmp_path):
    options, size = FILES[name]
    tifffile.imwrite(tmp_path / "a.tif", NOISE, metadata=None, **options)
    expected = None
    if size is not None:
        expected = pytest.approx(size if isinstance(size, tuple) else (size, size), rel=1e-6)
    assert uh.read_image(tmp_path / "a.tif").spacing == expected


class Metadata:
    """A file of a program whose tags are hard to write, with the metadata that tifffile reads."""

    def __init__(self, **metadata):
        self.metadata = metadata
        self.pages = self
        self.first = self
        self.description = ""
        self.is_imagej = False
        self.is_micromanager = "micromanager_metadata" in metadata
        self.tags = tifffile.TiffTags()

    def __getattr__(self, name):
        return self.__dict__["metadata"].get(name)


METADATA = {
    "LSM": (
        {"lsm_metadata": {"VoxelSizeX": 1e-7, "VoxelSizeY": 2e-7, "VoxelSizeZ": 0.0}},
        {"Y": 2e-4, "X": 1e-4},
    ),
    "MetaMorph": (
        {
            "stk_metadata": {
                "XCalibration": 0.25,
                "YCalibration": 0.5,
                "CalibrationUnits": "um",
                "ZDistance": np.array([2.0, 2.0]),
            }
        },
        {"Z": 2e-3, "Y": 5e-4, "X": 2.5e-4},
    ),
    "MetaSeries": (
        {
            "metaseries_metadata": {
                "PlaneInfo": {
                    "spatial-calibration-x": 0.33,
                    "spatial-calibration-y": 0.33,
                    "spatial-calibration-units": "um",
                }
            }
        },
        {"Y": 3.3e-4, "X": 3.3e-4},
    ),
    "Olympus": ({"sis_metadata": {"pixelsizex": 1e-9, "pixelsizey": 1e-9}}, {"Y": 1e-6, "X": 1e-6}),
    "TVIPS": ({"tvips_metadata": {"PixelSizeX": 4.0, "PixelSizeY": 4.0}}, {"Y": 4e-6, "X": 4e-6}),
    "old Zeiss": ({"sem_metadata": {"": (1, 2, 3, 4e-9, 5)}}, {"Y": 4e-6, "X": 4e-6}),
    "Micro-Manager's summary": (
        {"micromanager_metadata": {"Summary": {"PixelSize_um": 0.5, "z-step_um": -1.0}}},
        {"Y": 5e-4, "X": 5e-4},
    ),
    "something else": ({"lsm_metadata": "?", "stk_metadata": {"ZDistance": 3}}, {}),
}


@pytest.mark.parametrize("name", METADATA)
def test_the_size_in_metadata_of_a_program(name):
    metadata, expected = METADATA[name]
    file = Metadata(**metadata)
    assert vendor_spacing(file, file) == pytest.approx(expected)


def test_ome_without_a_size_leaves_it_to_the_programs_tags(tmp_path):
    path = tmp_path / "a.ome.tif"
    tag = text_tag(51123, json.dumps({"PixelSizeUm": 0.65}))
    tifffile.imwrite(path, NOISE, ome=True, extratags=[tag])
    assert uh.read_image(path).spacing == pytest.approx((0.65e-3, 0.65e-3))


@pytest.mark.parametrize(
    ("resolution", "metadata", "size"),
    [
        ((4, 2), {"unit": "um"}, (0.5e-3, 0.25e-3)),
        ((4, 2), {"unit": "pixel"}, None),
        (None, {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}, (0.5e-3, 0.25e-3)),
        (None, {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm"}, (0.25e-3, 0.25e-3)),
        (None, {"PhysicalSizeX": 0, "PhysicalSizeY": 0}, None),
    ],
)
def test_metadata_that_tifffile_writes_without_a_format_are_read(
    resolution, metadata, size, tmp_path
):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, NOISE, resolution=resolution, metadata=metadata)
    assert uh.read_image(path).spacing == (size and pytest.approx(size))


@pytest.mark.parametrize("axis", ["X", "Y"])
def test_a_size_along_one_axis_is_that_of_square_pixels(axis, tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, NOISE, ome=True, metadata={f"PhysicalSize{axis}": 0.5})
    assert uh.read_image(path).spacing == pytest.approx((0.5e-3, 0.5e-3))


@pytest.mark.parametrize("depth", [None, 0.0, -2.0, float("nan")])
@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_rows_and_columns_count_without_the_distance_of_slices(kind, depth, tmp_path):
    stack = np.stack([NOISE, NOISE])
    path = tmp_path / "a.tif"
    if kind == "ome":
        path = tmp_path / "a.ome.tif"
        metadata = {"axes": "ZYX", "PhysicalSizeX": 0.004, "PhysicalSizeY": 0.004}
        if depth is not None:
            metadata["PhysicalSizeZ"] = depth
        tifffile.imwrite(path, stack, ome=True, metadata=metadata)
    else:
        metadata = {"axes": "ZYX", "unit": "um"}
        if depth is not None:
            metadata["spacing"] = depth
        tifffile.imwrite(path, stack, imagej=True, resolution=(250, 250), metadata=metadata)

    image = uh.read_image(path)
    assert image.spacing == pytest.approx((4e-6, 4e-6))
    assert any("spacing of its slices" in note for note in image.notes)
    assert image.voxel_volume is None


def test_an_impossible_distance_of_slices_leaves_rows_and_columns():
    stack = uh.MedicalImage(np.stack([NOISE, NOISE]), "ZYX", spacing=(0.0, 4e-6, 4e-6))
    from unet_helpers.images.checked import checked

    assert checked(stack).spacing == (4e-6, 4e-6)
    in_space = uh.MedicalImage(
        np.stack([NOISE, NOISE]), "ZYX", spacing=(0.0, 1.0, 1.0), affine=np.eye(4)
    )
    assert checked(in_space).spacing is None


def test_a_stack_without_a_distance_of_slices_is_saved_with_rows_and_columns(tmp_path):
    from unet_helpers.images.tiff import write_ome_tiff

    stack = uh.MedicalImage(np.stack([NOISE, NOISE]), "ZYX", spacing=(5e-4, 2.5e-4))
    write_ome_tiff(stack, stack.pixels, tmp_path / "a.ome.tif")
    assert uh.read_image(tmp_path / "a.ome.tif").spacing == pytest.approx((5e-4, 2.5e-4))


def test_the_size_is_that_of_the_page_that_is_read(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        small, large = NOISE[:20, :20], NOISE
        options = {"resolutionunit": "CENTIMETER", "metadata": None}
        writer.write(small, resolution=(5000, 5000), **options)
        writer.write(large, resolution=(40000, 40000), **options)
    image = uh.read_image(path)
    assert image.spatial_shape == large.shape
    assert image.spacing == pytest.approx((0.25e-3, 0.25e-3))


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("8 µm", 8e-3),
        ("8um", 8e-3),
        ("0,25 Âµm", 0.25e-3),
        ("1e3 nm", 1e-3),
        ("3 in", 76.2),
        ("8", None),
        ("-8 µm", None),
        ("8 parsec", None),
        ("µm", None),
    ],
)
def test_a_length_in_words(text, length):
    assert length_of(text) == (length and pytest.approx(length))


def test_units_in_any_spelling():
    assert millimetres(" Millimetres\0") == 1
    assert millimetres("μm") == millimetres("\\u00b5m") == millimetres("Âµm") == 1e-3
    assert millimetres("NM") == 1e-6
    assert millimetres("Å") == 1e-7
    assert millimetres("in") == millimetres("inches") == 25.4
    assert millimetres("s") is None
    assert millimetres("ms") is None


def test_numbers_that_say_that_nothing_is_known():
    assert number_of("0.5") == number_of(0.5) == number_of('"0,5"') == 0.5
    for value in (0, -1, "0", "nan", float("inf"), None, "", "x", True and "no"):
        assert number_of(value) is None
