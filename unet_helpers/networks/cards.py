"""The pretrained networks: everything there is to know about each one, in one frozen card."""

from ..palette import GREEN, ORANGE, SKY, YELLOW
from .card import Localise, ModelCard, Preprocessing

CARDS = (
    ModelCard(
        name="retinal_vessels", title="Blood vessels of the retina", modality="colour fundus photograph",
        classes=("vessel",), colors=(SKY,), measures="tree",
        preprocessing=Preprocessing(channels="green", intensities="local", scale="field of view", size=1000, sigma=25),
        sha256="f4992a3a1c3ac9121d06ae68c148dc8f54e02b6c719eaab38f03586defe6de09",
        data="CHASE_DB1 (children 01-09), HRF (numbers 01-09, at half size) and DRIVE (21-29 and 31-39)",
        licence="CC BY 4.0 (CHASE_DB1, HRF), as commonly stated; DRIVE: see the data sets' pages",
        citation="Fraz et al. 2012, IEEE TBME 59(9); Budai et al. 2013, Int. J. Biomed. Imaging; "
        "Staal et al. 2004, IEEE TMI 23(4)",
        scores=("Dice 0.800 on CHASE_DB1 (child 10, 2 eyes)", "0.808 on HRF (numbers 10, 3 eyes)",
                "0.794 on DRIVE (numbers 30 and 40)"),
        limits="Fundus photographs only; thin vessels fade where the photograph is blurred, and the rim of the disc, "
        "scars and haemorrhages can look like vessels.",
    ),
    ModelCard(
        name="nuclei", title="Cell nuclei", modality="fluorescence, stained tissue, bright field",
        classes=("interior", "border"), colors=(GREEN, YELLOW), out_channels=3,
        preprocessing=Preprocessing(channels="stain", percentiles=(0.1, 99.9), scale="objects", size=24),
        threshold=0.6, instance_method="interiors", flips=4,
        sha256="f55fcd4d49ca7dd8a4618ab14b4b8320094e13cb1f5f27193277bbff93fabca5",
        data="2018 Data Science Bowl, stage 1 (BBBC038), with community fixes", licence="CC0",
        citation="Caicedo et al. 2019, Nat. Methods 16:1247",
        scores=("mean AP 0.58, AP50 0.83, Dice 0.91 (55 images)", "fluorescence alone: AP50 0.86"),
        limits="Finds the size of the nuclei by itself; where sizes differ more than threefold in one image, "
        "give zoom. Densely packed nuclei in thick tissue run together.",
    ),
    ModelCard(
        name="nuclei_he", title="Cell nuclei in stained tissue",
        modality="tissue stained with haematoxylin and eosin, light microscopy",
        classes=("interior", "border"), colors=(GREEN, YELLOW), out_channels=3,
        preprocessing=Preprocessing(channels="rgb"), instance_method="interiors", objects="slices",
        sha256="d1d0d3f81eed7cfd1ebc8935346c812f3a5281a4875d6e3357fee52e54935a23",
        data="MoNuSeg (10 fields of 1000 x 1000), CoNSeP training part (24 fields, colon), 2018 Data Science Bowl "
        "(stained images)",
        licence="not for commercial use: CC BY-NC-SA 4.0 (MoNuSeg), research use (CoNSeP), CC0 (the rest), as "
        "commonly stated: see the data sets' pages",
        citation="Kumar et al. 2017, IEEE TMI 36(7); Kumar et al. 2020, IEEE TMI 39(5); Graham et al. 2019, "
        "Med. Image Anal. 58; Caicedo et al. 2019, Nat. Methods 16:1247",
        scores=("MoNuSeg: AJI 0.602, PQ 0.573, AP50 0.635 (3 fields of liver, breast and prostate)",
                "CoNSeP: AJI 0.515, PQ 0.503, Dice 0.861 (48 tiles of 3 fields of colon)"),
        limits="Sections at 40x (0.25 µm a pixel); at 20x give zoom=2. Crowded and pale nuclei are split or missed.",
    ),
    ModelCard(
        name="em_membranes", title="Membranes of nerve cells", modality="electron microscopy",
        classes=("membrane",), colors=(SKY,), preprocessing=Preprocessing(spacing=4e-6),
        threshold=0.3, usual_share=(0.1, 0.5), instance_method="membranes", objects="slices",
        sha256="8bdbb02858bde208a502baaeb5a9e59422a06468704cfe9faac808bf8f24e1c2",
        data="ISBI 2012 EM segmentation challenge, slices 00-21 (4 x 4 x 50 nm), and segmented anisotropic ssTEM "
        "dataset, stack 1, slices 00-09 (4.6 nm): ventral nerve cords of two Drosophila larvae",
        licence="not for commercial use: research use, please cite (ISBI 2012); CC BY-NC-SA 3.0 (ssTEM dataset)",
        citation="Arganda-Carreras et al. 2015, Front. Neuroanat. 9:142; Cardona et al. 2010, PLoS Biol. "
        "8(10); Gerhard et al. 2013, figshare, doi:10.6084/m9.figshare.856713",
        scores=("Rand V 0.985 (ISBI, slices 22 to 24)", "0.968 (VNC, slices 10 and 11)"),
        limits="Two animals of one species; an image without a spacing is taken to have 4 nm a pixel; other "
        "tissue and stains need fine-tuning.",
    ),
    ModelCard(
        name="lungs", title="Lung fields", modality="chest X-ray, frontal", dicom=("CR", "DX", "RG", "DR"),
        classes=("lung",), colors=(SKY,), preprocessing=Preprocessing(scale="square", size=256),
        min_component_share=0.1,
        sha256="b6f05e9c441d8704dace01ed1e2158301ae52876ab2cfabd96457819865ed0f1",
        data="Montgomery (MCUCXR) and Shenzhen (CHNCXR) chest X-rays",
        licence="US NLM public data, please cite: see the data sets' pages",
        citation="Jaeger et al. 2014, Quant. Imaging Med. Surg. 4(6); Candemir et al. 2014, IEEE TMI 33(2); "
        "Stirenko et al. 2018",
        scores=("Dice 0.961, worst image 0.87 (57 images)",),
        limits="Frontal views of adults; the part of the lung behind the heart is left out, as in the data.",
    ),
    ModelCard(
        name="brain_flair", title="FLAIR abnormality", modality="brain MRI, FLAIR", dicom=("MR",), sequence="flair",
        classes=("abnormality",), colors=(ORANGE,),
        preprocessing=Preprocessing(channels="flair", intensities="head", scale="square", size=192, context=1),
        min_component_share=0.1, flips=2,
        sha256="c0c09903531f5b90be6b7adf4acc8caf0e7c96991171ce6eb4ae37ab58bf77a3",
        data="TCGA-LGG, FLAIR channel",
        licence="TCIA CC BY 3.0, masks CC BY-NC-SA 4.0, as commonly stated: see the data set's page",
        citation="Buda, Saha, Mazurowski 2019, Comput. Biol. Med. 109; Mazurowski et al. 2017, J. Neurooncol.",
        scores=("Dice 0.854 mean, 0.857 median (10 patients)",),
        limits="Lower-grade glioma before treatment; other bright spots (stroke, inflammation) were not learnt.",
    ),
    ModelCard(
        name="hippocampus", title="Hippocampus", modality="T1 MRI of the head, or of the hippocampus",
        dicom=("MR",), sequence="t1", classes=("anterior", "posterior"), colors=(ORANGE, SKY), out_channels=3,
        preprocessing=Preprocessing(axes=(0, 1, 2), context=1, spacing=1.0),
        localise=Localise(template="mni_icbm152_t1_2mm.nii.gz", names=("left", "right"), box=(40, 56, 40),
                          centres=((-27, -20, -15), (27, -20, -15)), volumes=(1.0, 7.0)),
        min_component_share=0.2,  # of two in a head, one may be much smaller
        sha256="6009729a4b57792adead04194cbf010135e6d103adb652c9062b4ea12e8a3437",
        data="Medical Segmentation Decathlon, Task04", licence="CC BY-SA 4.0",
        citation="Antonelli et al. 2022, Nat. Commun. 13:4128; Simpson et al. 2019, arXiv:1902.09063",
        scores=("Dice 0.898 anterior, 0.876 posterior (21 volumes)",),
        limits="T1 alone, learnt from crops of adults' heads. A whole head is registered to a template first, for "
        "which it takes SimpleITK; where that or the size of what was found is doubtful, a warning says so.",
    ),
    ModelCard(
        name="brain_flair_buda2019", title="FLAIR abnormality (published network)",
        modality="brain MRI volume: pre-contrast, FLAIR, post-contrast", classes=("abnormality",), colors=(ORANGE,),
        preprocessing=Preprocessing(channels="rgb", percentiles=(10, 99), size=256, method="buda2019"),
        features=32, min_component_share=1.0, sha256="e012d006",  # as far as the file's own name gives it
        url="https://github.com/mateuszbuda/brain-segmentation-pytorch/releases/download/v1.0/unet-e012d006.pt",
        data="TCGA-LGG, 100 patients", licence="weights MIT; data TCIA CC BY 3.0, masks CC BY-NC-SA 4.0",
        citation="Buda, Saha, Mazurowski 2019, Comput. Biol. Med. 109:218",
        limits="Whole volumes of three sequences; 31 MB, fetched on first use. The paper reports a "
        "median Dice of 0.82, its repository 0.91 on the ten patients it was selected on.",
    ),
)  # fmt: skip
MODELS = {card.name: card for card in CARDS}
