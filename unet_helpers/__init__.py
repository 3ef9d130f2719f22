"""Pretrained U-Nets for medical images: read, segment, show, measure, save.

    import unet_helpers as uh

    result = uh.segment("my_photo.png", "retinal_vessels")
    uh.show(result)
    result.save("results")

Research and teaching, not diagnosis.
"""

from typing import TYPE_CHECKING

import lazy_loader

from .errors import (
    ArgumentError,
    DownloadError,
    ImageError,
    ModelError,
    SaveError,
    TrainingError,
    UNetHelpersError,
)
from .version import __version__

if TYPE_CHECKING:
    from .images.image import MedicalImage
    from .images.read import read_image
    from .inference.export import export_onnx
    from .inference.segment import segment
    from .networks.cards import MODELS, ModelCard
    from .networks.load import list_models, load_model, save_model
    from .networks.unet import UNet
    from .results.segmentation import Segmentation
    from .samples import list_samples, sample, samples_at_hand

# Public names by module. They are imported on first use, because they load torch, matplotlib,
# scikit-image, pandas or the trainer: seconds before the command line could print its version.
LAZY_NAMES = {
    "networks.cards": ["MODELS", "ModelCard"],
    "networks.unet": ["UNet"],
    "networks.load": ["list_models", "load_model", "save_model"],
    "inference.export": ["export_onnx"],
    "inference.bioimageio": ["export_bioimageio"],
    "images.image": ["MedicalImage"],
    "images.read": ["read_image"],
    "inference.segment": ["segment"],
    "results.segmentation": ["Segmentation"],
    "samples": ["list_samples", "sample", "samples_at_hand"],
    "figures.show": ["show", "compare"],
    "figures.viewer": ["three_planes", "gallery"],
    "figures.widgets": ["playground", "live"],
    "figures.scores": ["threshold_curve", "calibration", "disagreement_figure"],
    "figures.diagram": ["diagram"],
    "figures.forward_pass": ["forward_pass"],
    "figures.learning": ["LearningHistory"],
    "figures.own_images": ["OwnImages"],
    "figures.network": ["feature_maps"],
    "figures.skips": ["without_skips", "compare_skips"],
    "results.score_table": ["score_table"],
    "checks.suggest": ["ood_score", "suggest_model"],
    "results.metrics": ["dice", "iou"],
    "results.report": ["report_index"],
    "web.page": ["page"],
    "annotate.painter": ["Painter"],
    "annotate.widget": ["paint"],
    "training.finetune": ["fine_tune"],
    "inference.batch": ["segment_many", "segment_folder"],
    "inference.large": ["segment_large"],
    "session": ["take_away", "upload", "describe_figures"],
    "timing": ["time_spent"],
}
__getattr__, _, LATER = lazy_loader.attach(__name__, submod_attrs=LAZY_NAMES)

# The names of the imports for type checkers are written out, because those do not run ``attach``.
__all__ = [
    "MODELS",
    "ArgumentError",
    "DownloadError",
    "ImageError",
    "MedicalImage",
    "ModelCard",
    "ModelError",
    "SaveError",
    "Segmentation",
    "TrainingError",
    "UNet",
    "UNetHelpersError",
    "__version__",
    "export_onnx",
    "list_models",
    "list_samples",
    "load_model",
    "read_image",
    "sample",
    "samples_at_hand",
    "save_model",
    "segment",
    *LATER,
]


def __dir__() -> list[str]:
    """Return the public names, for tab completion."""
    return sorted(set(__all__))
