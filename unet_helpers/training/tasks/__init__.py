"""One file a network: its data set, its examples, its recipe and its score."""

from . import brain_flair, em_membranes, hippocampus, lungs, nuclei, nuclei_he, retinal_vessels

MODULES = (retinal_vessels, nuclei, nuclei_he, em_membranes, lungs, brain_flair, hippocampus)
TASKS = {module.TASK.card: module.TASK for module in MODULES}
