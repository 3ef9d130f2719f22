"""One file a network: its data set, its examples, its recipe and its score."""

from . import brain_flair, em_membranes, hippocampus, lungs, nuclei, retinal_vessels

TASKS = {
    module.TASK.card: module.TASK for module in (retinal_vessels, nuclei, em_membranes, lungs, brain_flair, hippocampus)
}
