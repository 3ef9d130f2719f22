"""The input check: does the image suit the network that is to read it?"""

import re

import cv2
import numpy as np

from ..images.image import SAMPLE, MedicalImage, check_pixels, shows_something, sides
from ..images.stack import frames, to_stack
from .buda2019 import check_volume
from .field_of_view import field_of_view
from .image_statistics import view
from .intensities import is_bright_field, select_channels
from .out_of_distribution import middle_slices, ood_warning

# words by which file names and series descriptions call the sequences of MRI
SEQUENCES = {
    "flair": {"flair"},
    "t1": {"t1", "t1w", "t1c", "t1ce", "t1gd", "mprage", "spgr", "bravo"},
    "t2": {"t2", "t2w"},
    "proton density": {"pd", "pdw"},
    "diffusion": {"dwi", "adc", "dti"},
    "susceptibility": {"swi", "t2star"},
}


def sequences_named(image: MedicalImage) -> list[str]:
    """The MRI sequences that the file's name and DICOM's description speak of; FLAIR is weighted like T2, or T1."""
    told = f"{image.description} {image.path.name if image.path else ''}".lower()
    if "flair" in told:
        return ["flair"]
    return [name for name, words in SEQUENCES.items() if words & set(re.split("[^a-z0-9]+", told))]


def check_named(image: MedicalImage, card) -> list[str]:
    """Warnings about what the file itself says that it shows."""
    if image.modality and card.dicom and image.modality not in card.dicom:
        return [
            f"its DICOM modality is {image.modality}, but {card.name} reads {card.modality} ({card.dicom[0]})."
        ]
    named = " and ".join(sequences_named(image)).upper()
    if card.sequence and named and card.sequence not in sequences_named(image):
        return [f"called {named}, but {card.name} reads {card.modality}: the answer means little."]
    return []


def check_channels(image: MedicalImage, card) -> list[str]:
    """Warnings about channels that the card's network was not trained on."""
    reads = card.preprocessing.channels
    if reads == "green" and image.channels == 1:
        return [
            "a grey image, but the network reads the green channel of a colour photograph: used as it is."
        ]
    stained = reads == "rgb" and card.instance_method == "interiors"
    if stained and (image.channels < 3 or not is_bright_field(to_stack(image).pixels)):
        return [
            f"no colours on a light ground, but {card.name} reads {card.modality}: the answer means little."
        ]
    if image.channels == 3 and reads in ("grey", "flair"):
        sample = image.pixels.reshape(-1, 3)[:: max(1, image.pixels.size // SAMPLE)]
        if (sample != sample[:, :1]).any():
            used = (
                "its brightness"
                if reads == "grey"
                else "the second of its three channels (the FLAIR of TCGA files)"
            )
            return [f"a colour image, but {card.name} reads grey ones: {used} is used."]
    return []


def check_vessels(image: MedicalImage, card) -> list[str]:
    """A warning about bright vessels, as in an angiogram, for a network that knows dark ones."""
    if card.measures != "tree" or not shows_something(image.pixels, image.spatial_shape):
        return []
    seen = view(middle_slices(image)[0], card)
    seen = select_channels(seen, "green", seen.ndim == 3)
    inner = cv2.erode(field_of_view(seen).astype(np.uint8), np.ones((7, 7)), borderValue=0) > 0
    hats = (
        cv2.morphologyEx(seen, kind, np.ones((7, 7)))[inner]
        for kind in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT)
    )
    dark, bright = (np.percentile(hat, 95) if hat.size else 0 for hat in hats)
    words = f"its lines are bright, as in an angiogram, but {card.name} knows dark vessels: try pixels.max() - pixels."
    return [words] * bool(
        dark < 0.92 * bright
    )  # above 0.95 in 60 photographs, up to 0.87 in 57 as angiograms


def check_scale(image: MedicalImage, card) -> list[str]:
    """Warnings about an image far smaller or larger than the card's working scale."""
    side, known = max(sides(image.spatial_shape)), card.preprocessing
    if known.scale in ("square", "field of view") and side < known.size / 4:
        return [
            f"only {side} px wide, while the network works at {known.size} px: enlarged, it shows no more detail."
        ]
    if known.spacing and image.spacing:
        side = round(
            max(np.array(image.spatial_shape[-len(image.spacing) :]) * image.spacing)
            / known.spacing
        )
    if known.scale == "native" and len(known.axes) > 1 and side > 128:
        return [
            f"{side} voxels wide; the network knows small crops around the structure. Cut one out first."
        ]
    return []


def check_gaps(image: MedicalImage, card) -> list[str]:
    """A warning about empty slices inside a volume, as where files of a series are missing."""
    filled = np.flatnonzero(
        [(pixels != pixels.flat[0]).any() for pixels in to_stack(next(frames(image))).pixels]
    )
    gaps = np.ptp(filled) + 1 - len(filled) if len(filled) and image.lies_in_space else 0
    return [
        f"{gaps} empty slices between others: objects are cut there, and volumes too small."
    ] * bool(gaps)


def check_distribution(image: MedicalImage, card) -> list[str]:
    """A warning about an image unlike those that the card's network learnt from."""
    named = card.sequence and card.sequence in sequences_named(
        image
    )  # scanners differ more than what is known of them
    if named or not shows_something(image.pixels, image.spatial_shape):  # which check_pixels says
        return []
    return list(filter(None, [ood_warning(image, card)]))


def check_input(image: MedicalImage, card) -> list[str]:
    """All warnings for an image and the network that is to read it, before the network runs."""
    checks = [check_named, check_channels, check_vessels, check_gaps]
    if not (
        card.localise and any(card.localise.wanted(to_stack(frame)) for frame in frames(image))
    ):
        checks += [
            check_scale,
            check_distribution,
        ]  # else the network sees boxes, which are looked at later
    warnings = check_pixels(image.pixels, image.spatial_shape) + sum(
        (check(image, card) for check in checks), []
    )
    return warnings + (check_volume(image) if card.preprocessing.method == "buda2019" else [])
