"""Stored values of DICOM files become those that a viewer shows: tables, slopes, padding."""

import numpy as np
import pydicom
import pytest
from helpers.files import dicom
from helpers.series import DEPTH, VOLUME, frame_group, write_series
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

import unet_helpers as uh

# Values of 10 bits, as an X-ray detector stores them.
STORED = np.random.default_rng(1).integers(0, 1024, (20, 24), np.uint16)

# A display curve like that of film.
CURVE = np.rint(4095 / (1 + np.exp(-(np.arange(1024) - 500) / 90))).astype(np.uint16)


def table(entries: np.ndarray, first: int = 0, bits: int = 16, vr: str = "US") -> Sequence:
    """A lookup table of a Modality or VOI LUT Sequence."""
    item = Dataset()
    is_signed = first < 0
    count = len(entries) % 65536
    item.add_new("LUTDescriptor", "SS" if is_signed else "US", [count, first, bits])
    value = entries.tolist() if vr == "US" else entries.tobytes()
    item.add_new("LUTData", vr, value)
    return Sequence([item])


def read_with(path, stored=STORED, photometric="MONOCHROME2", **tags) -> uh.MedicalImage:
    dicom(stored, photometric, **tags)(path / "a.dcm")
    return uh.read_image(path / "a.dcm")


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("modality", ["DX", "CR", ""])
def test_the_display_table_of_an_x_ray_image_is_applied(vr, modality, tmp_path):
    image = read_with(tmp_path, VOILUTSequence=table(CURVE, vr=vr), Modality=modality)
    np.testing.assert_array_equal(image.pixels, CURVE[STORED])
    expected = apply_voi_lut(STORED, pydicom.dcmread(tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.notes == ("applied its VOI LUT",)


def test_the_modality_table_is_applied_before_the_display_table(tmp_path):
    steps = (np.arange(1024) // 2).astype(np.uint16)
    image = read_with(
        tmp_path, ModalityLUTSequence=table(steps), VOILUTSequence=table(CURVE), Modality="DX"
    )
    np.testing.assert_array_equal(image.pixels, CURVE[STORED // 2])
    assert image.notes == ("applied its Modality LUT", "applied its VOI LUT")


def test_the_modality_table_agrees_with_pydicoms(tmp_path):
    image = read_with(tmp_path, ModalityLUTSequence=table(CURVE[::2], first=100), Modality="MR")
    expected = apply_modality_lut(STORED, pydicom.dcmread(tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.pixels.max() == CURVE[::2].max()


@pytest.mark.parametrize("bits", [12, 16, 0, 3])
def test_tables_of_any_depth_are_inverted_within_it(bits, tmp_path):
    tags = {"VOILUTSequence": table(CURVE, bits=bits), "Modality": "CR"}
    image = read_with(tmp_path, photometric="MONOCHROME1", **tags)
    highest = 65535 if bits == 16 else 4095
    np.testing.assert_array_equal(image.pixels, highest - CURVE[STORED])
    assert image.notes[-1] == "inverted: the file stores white as the lowest value"


def test_a_table_of_bytes_is_read(tmp_path):
    entries = np.arange(255, -1, -1, np.uint8)
    stored = (STORED // 4).astype(np.uint8)
    tags = {"ModalityLUTSequence": table(entries, bits=8, vr="OW")}
    np.testing.assert_array_equal(read_with(tmp_path, stored, **tags).pixels, 255 - stored)


def test_a_table_may_begin_below_zero(tmp_path):
    stored = STORED.astype(np.int16) - 512
    tags = {"VOILUTSequence": table(CURVE, first=-512), "Modality": "DX"}
    np.testing.assert_array_equal(read_with(tmp_path, stored, **tags).pixels, CURVE[STORED])

    # The same, written without a sign.
    tags = {"VOILUTSequence": table(CURVE, first=65536 - 512), "Modality": "DX"}
    np.testing.assert_array_equal(read_with(tmp_path, stored, **tags).pixels, CURVE[STORED])


def test_a_display_table_is_applied_after_slope_and_intercept(tmp_path):
    tags = {"RescaleSlope": 0.5, "RescaleIntercept": 10, "Modality": "DX"}
    image = read_with(tmp_path, VOILUTSequence=table(CURVE), **tags)
    inputs = np.rint(STORED.astype(np.float32) * 0.5 + 10).astype(int)
    np.testing.assert_array_equal(image.pixels, CURVE[inputs])


def test_values_beyond_a_table_get_its_ends(tmp_path):
    tags = {"VOILUTSequence": table(CURVE[:400], first=200), "Modality": "DX"}
    image = read_with(tmp_path, **tags)
    assert (image.pixels[STORED < 200] == CURVE[0]).all()
    assert (image.pixels[STORED > 600] == CURVE[399]).all()


def test_a_file_with_the_high_byte_first_has_the_same_table(tmp_path):
    path = tmp_path / "a.dcm"
    dicom(STORED, VOILUTSequence=table(CURVE), Modality="DX")(path)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    data.VOILUTSequence[0].add_new("LUTData", "OW", CURVE.astype(">u2").tobytes())
    data.PixelData = STORED.astype(">u2").tobytes()
    pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_array_equal(uh.read_image(path).pixels, CURVE[STORED])


def test_the_first_of_several_display_tables_is_applied(tmp_path):
    tables = [*table(CURVE), *table(CURVE // 2)]
    image = read_with(tmp_path, VOILUTSequence=Sequence(tables), Modality="DX")
    np.testing.assert_array_equal(image.pixels, CURVE[STORED])
    assert image.notes == ("applied the first of its 2 VOI LUTs",)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_measured_values_are_not_changed_for_display(modality, tmp_path):
    image = read_with(tmp_path, VOILUTSequence=table(CURVE), Modality=modality)
    np.testing.assert_array_equal(image.pixels, STORED)
    (note,) = image.notes
    assert "not applied" in note


def test_a_table_that_cannot_be_read_becomes_a_note(tmp_path):
    broken = Dataset()
    broken.LUTExplanation = "without data"
    image = read_with(tmp_path, VOILUTSequence=Sequence([broken]), Modality="DX")
    np.testing.assert_array_equal(image.pixels, STORED)
    (note,) = image.notes
    assert note.startswith("its VOI LUT cannot be read and is not applied")


def test_a_sigmoid_window_is_applied_and_a_linear_one_is_not(tmp_path):
    window = {"WindowCenter": 500, "WindowWidth": 360, "Modality": "DX", "BitsStored": 16}
    np.testing.assert_array_equal(read_with(tmp_path, **window).pixels, STORED)
    image = read_with(tmp_path, VOILUTFunction="SIGMOID", **window)
    expected = 65535 / (1 + np.exp(-4 * (STORED - 500.0) / 360))
    np.testing.assert_allclose(image.pixels, expected, rtol=1e-5)
    assert image.notes == ("applied its display curve (a sigmoid window)",)


def scaled_group(index: int, slope: float, intercept: float) -> Dataset:
    scale, group = Dataset(), frame_group(DEPTH * index, 20)
    scale.RescaleSlope = slope
    scale.RescaleIntercept = intercept
    group.PixelValueTransformationSequence = [scale]
    return group


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_each_frame_of_an_enhanced_file_has_its_own_slope(order, tmp_path):
    scalings = [(0.5, 10.0), (2.0, 0.0), (3.5, -100.0)]
    groups = [scaled_group(index, *scalings[index]) for index in order]
    stored = [VOLUME[index] for index in order]
    dicom(np.stack(stored), PerFrameFunctionalGroupsSequence=groups)(tmp_path / "a.dcm")

    image = uh.read_image(tmp_path / "a.dcm")
    for index, (slope, intercept) in enumerate(scalings):
        expected = VOLUME[index] * slope + intercept
        np.testing.assert_allclose(image.pixels[index], expected, rtol=1e-6)
    words = "values scaled by 0.5 to 3.5 and shifted by -100 to 10, each slice as the file says"
    assert image.notes == (words,)

    single = uh.read_image(tmp_path / "a.dcm", frame=1)
    slope, intercept = scalings[order[1]]
    np.testing.assert_allclose(single.pixels, stored[1] * slope + intercept, rtol=1e-6)


def test_a_slope_of_one_frame_alone_counts_for_it_alone(tmp_path):
    groups = [scaled_group(0, 2.0, 0.0), frame_group(DEPTH, 20)]
    write = dicom(VOLUME[:2], PerFrameFunctionalGroupsSequence=groups, RescaleSlope=1)
    write(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels[0], VOLUME[0] * 2.0)
    np.testing.assert_array_equal(image.pixels[1], VOLUME[1])


def test_descriptions_of_another_number_of_frames_are_not_used(tmp_path):
    groups = [scaled_group(index, 2.0, 0.0) for index in range(2)]
    dicom(VOLUME[:3], PerFrameFunctionalGroupsSequence=groups)(tmp_path / "a.dcm")
    image = uh.read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.pixels, VOLUME[:3])
    assert image.notes == ("describes 2 frames, but holds 3: not used",)


@pytest.mark.filterwarnings("ignore")  # pydicom warns of the value
def test_a_slope_that_is_no_number_becomes_a_note(tmp_path):
    path = tmp_path / "a.dcm"
    dicom(STORED, RescaleSlope=2)(path)
    content = bytearray(path.read_bytes())
    slope = content.index(b"\x28\x00\x53\x10DS") + 8
    content[slope : slope + 2] = b"ab"
    path.write_bytes(content)
    image = uh.read_image(path)
    np.testing.assert_array_equal(image.pixels, STORED)
    (note,) = image.notes
    assert note.startswith("its slope or intercept is no number and is not applied")


def test_slices_of_a_series_have_their_own_slopes(tmp_path):
    for index in range(3):
        write_series(tmp_path, [index], RescaleSlope=index + 1, RescaleIntercept=0)
    image = uh.read_image(tmp_path)
    np.testing.assert_array_equal(image.pixels, VOLUME[:3] * np.arange(1, 4)[:, None, None])
    words = "values scaled by 1 to 3 and shifted by 0, each slice as the file says"
    assert image.notes == (words,)


def bordered(value: int, dtype: type) -> np.ndarray:
    """An image whose border has a value far from the others, 100 to 1123."""
    pixels = (STORED + 100).astype(dtype)
    pixels[:4] = value
    return pixels


@pytest.mark.parametrize(
    ("dtype", "value", "written"),
    [
        (np.int16, -32768, -32768),
        (np.int16, -2000, -2000),
        (np.int16, -2000, 63536),  # without the sign of the pixels
        (np.uint16, 63536, 63536),
        (np.uint16, 63536, -2000),
        (np.uint16, 0, 0),
        (np.int32, -32768, -32768),
    ],
)
def test_padding_becomes_the_smallest_other_value(dtype, value, written, tmp_path):
    path = tmp_path / "a.dcm"
    dicom(bordered(value, dtype))(path)
    data = pydicom.dcmread(path)
    data.add_new("PixelPaddingValue", "SS" if written < 0 else "US", written)
    data.save_as(path)

    image = uh.read_image(path)
    assert (image.pixels[:4] == image.pixels[4:].min()).all()
    np.testing.assert_array_equal(image.pixels[4:], bordered(value, dtype)[4:])
    share = 100 * 4 / 20
    assert image.notes == (
        f"{share:.1f}% of the pixels are padding (PixelPaddingValue): "
        "replaced by the smallest other value",
    )


def test_a_range_of_values_is_padding(tmp_path):
    pixels = bordered(-2000, np.int16)
    pixels[0] = -1500
    image = read_with(tmp_path, pixels, PixelPaddingValue=-1500, PixelPaddingRangeLimit=-2000)
    assert (image.pixels[:4] == pixels[4:].min()).all()


def test_padding_is_dark_also_where_white_is_low(tmp_path):
    image = read_with(
        tmp_path, bordered(0, np.uint16), "MONOCHROME1", PixelPaddingValue=0, Modality="DX"
    )
    assert (image.pixels[:4] == image.pixels[4:].min()).all()


def test_padding_is_found_before_values_are_scaled(tmp_path):
    tags = {"RescaleSlope": 2, "RescaleIntercept": -24, "PixelPaddingValue": -2000}
    pixels = bordered(-2000, np.int16)
    image = read_with(tmp_path, pixels, **tags)
    lowest = pixels[4:].min() * 2.0 - 24
    assert (image.pixels[:4] == lowest).all()


def test_padding_of_floats(tmp_path):
    pixels = bordered(-1000, np.float32)
    path = tmp_path / "a.dcm"
    dicom(pixels.astype(np.int32))(path)
    data = pydicom.dcmread(path)
    del data.PixelData, data.PixelRepresentation, data.BitsStored, data.HighBit
    data.FloatPixelData = pixels.tobytes()
    data.FloatPixelPaddingValue = -1000.0
    data.save_as(path)
    image = uh.read_image(path)
    assert (image.pixels[:4] == pixels[4:].min()).all()


def test_padding_of_a_series_has_one_value_in_all_slices(tmp_path):
    values = VOLUME.astype(np.int16) + 50
    values[:, :4] = -2000
    values[8] = -2000
    write_series(tmp_path, values=values, PixelPaddingValue=-2000)
    image = uh.read_image(tmp_path)
    lowest = values[:8, 4:].min()
    assert (image.pixels[values == -2000] == lowest).all()
    np.testing.assert_array_equal(image.pixels[values != -2000], values[values != -2000])


def test_an_image_of_nothing_but_padding_stays(tmp_path):
    image = read_with(tmp_path, np.zeros_like(STORED), PixelPaddingValue=0)
    assert not image.pixels.any()
    assert image.notes == ()


@pytest.mark.parametrize(
    "missing",
    [
        ["PixelRepresentation"],
        ["SamplesPerPixel"],
        ["PhotometricInterpretation"],
        ["BitsStored", "HighBit"],
        ["BitsAllocated"],
        ["PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "BitsStored"],
    ],
)
def test_missing_attributes_of_the_pixels_are_assumed_and_said(missing, tmp_path):
    path = tmp_path / "a.dcm"
    dicom(STORED)(path)
    data = pydicom.dcmread(path)
    for name in missing:
        delattr(data, name)
    data.save_as(path)
    image = uh.read_image(path)
    np.testing.assert_array_equal(image.pixels, STORED)
    assert all("which the file lacks" in note for note in image.notes)
    assert len(image.notes) == len(set(missing) - {"HighBit"})


def test_colours_of_a_file_that_does_not_count_them(tmp_path):
    path = tmp_path / "a.dcm"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    dicom(pixels, "RGB", 3)(path)
    data = pydicom.dcmread(path)
    del data.SamplesPerPixel, data.PlanarConfiguration
    data.save_as(path)
    np.testing.assert_array_equal(uh.read_image(path).pixels, pixels)


def test_values_of_four_a_pixel_are_refused(tmp_path):
    path = tmp_path / "a.dcm"
    dicom(np.zeros((20, 24, 3), np.uint8), "RGB", 3)(path)
    data = pydicom.dcmread(path)
    data.SamplesPerPixel = 4
    data.PhotometricInterpretation = "CMYK"
    data.PixelData = bytes(20 * 24 * 4)
    data.save_as(path)
    with pytest.raises(uh.ImageError, match=r"a\.dcm"):
        uh.read_image(path)
