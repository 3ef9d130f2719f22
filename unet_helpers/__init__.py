"""Pretrained U-Nets for medical images: read, segment, look, measure, save.

    import unet_helpers as uh

    result = uh.segment("my_photo.png", "retinal_vessels")
    uh.show(result)
    result.save("results")

Research and teaching, not diagnosis.
"""

from importlib import import_module

from .cards import MODELS, ModelCard
from .errors import DownloadError, ImageError, ModelError, SaveError, TrainingError, UNetHelpersError
from .images import MedicalImage, read_image
from .models import list_models, load_model, save_model
from .result import Segmentation
from .samples import list_samples, sample, samples_at_hand
from .segment import segment
from .unet import UNet

__version__ = "0.1.0"

LATER = {  # these load matplotlib, scikit-image or the trainer, so not before they are used
    "show": "plots",
    "overlay": "plots",
    "compare": "plots",
    "dice": "metrics",
    "iou": "metrics",
    "fine_tune": "finetune",
    "diagram": "drawing",
    "feature_maps": "inside",
    "without_skips": "inside",
    "compare_skips": "inside",
    "as_if_misread": "inside",
    "score_table": "quality",
    "threshold_curve": "quality",
    "disagreement_figure": "quality",
    "gallery": "viewer",
    "slices": "viewer",
    "three_planes": "viewer",
    "draw_nuclei": "phantom",
    "segment_many": "batch",
    "take_away": "session",
    "upload": "session",
}

__all__ = [
    "MODELS", "DownloadError", "ImageError", "MedicalImage", "ModelCard", "ModelError", "SaveError", "Segmentation",
    "TrainingError", "UNet", "UNetHelpersError", "list_models", "list_samples", "load_model", "read_image", "sample",
    "samples_at_hand", "save_model", "segment", *LATER,
]  # fmt: skip


def __getattr__(name: str):
    if name in LATER:
        return getattr(import_module(f".{LATER[name]}", __name__), name)  # no module has the name of its function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
