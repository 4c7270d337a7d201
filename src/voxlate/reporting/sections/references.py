"""References of networks, tools, metrics and statistics that a methods section cites."""

from __future__ import annotations

NETWORKS: dict[str, tuple[str, str]] = {
    "att_unet": ("a 3D U-Net with attention gates", "bottani"),
    "bottani_unet": ("a 3D U-Net", "bottani"),
    "casnet": ("CasNet, the generator of MedGAN", "medgan"),
    "decnn": ("DECNN, a deep embedding network", "decnn"),
    "drunet": ("DRUNet, a deep residual U-Net", "li"),
    "hr_fcn": ("HR-FCN, a high-resolution fully convolutional network", "chen"),
    "hr_fcn_printed": ("HR-FCN, a high-resolution fully convolutional network, as its paper prints it", "chen"),
    "locality_adaptive_unet": ("the locality-adaptive generator of LA-GANs", "lagan"),
    "pix2pix_unet": ("the U-Net generator of pix2pix", "pix2pix"),
    "res_unet": ("a 3D residual U-Net", "bottani"),
    "resnet_generator": ("a residual generator of nine blocks", "cyclegan"),
    "trans_unet": ("a 3D U-Net with a transformer at its bottleneck", "bottani"),
    "translator": ("a residual 3D U-Net that predicts a gain and an offset of each voxel", ""),
    "unet": ("a U-Net", "unet"),
}
"""How a methods section calls each network, and the key of its reference; empty for a design of this project."""

REFERENCES = {
    "bottani": (
        "Bottani S, Thibeau-Sutre E, Maire A, et al. Contrast-enhanced to non-contrast-enhanced image translation to "
        "exploit a clinical data warehouse of T1-weighted brain MRI. BMC Med Imaging 2024;24:67."
    ),
    "chen": (
        "Chen C, Raymond C, Speier W, et al. Synthesizing MR image contrast enhancement using 3D high-resolution "
        "ConvNets. IEEE Trans Biomed Eng 2023."
    ),
    "cyclegan": (
        "Zhu J-Y, Park T, Isola P, Efros AA. Unpaired image-to-image translation using cycle-consistent adversarial "
        "networks. ICCV 2017."
    ),
    "decnn": (
        "Xiang L, Wang Q, Nie D, et al. Deep embedding convolutional neural network for synthesizing CT image from "
        "T1-weighted MR image. Med Image Anal 2018;47:31-44."
    ),
    "deepbet": (
        "Fisch L, Zumdick S, Barkhau C, et al. deepbet: fast brain extraction of T1-weighted MRI using convolutional "
        "neural networks. Comput Biol Med 2024;179:108845."
    ),
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65-70.",
    "lagan": (
        "Wang Y, Zhou L, Yu B, et al. 3D auto-context-based locality adaptive multi-modality GANs for PET synthesis. "
        "IEEE Trans Med Imaging 2019;38:1328-1339."
    ),
    "li": (
        "Li Z, Huang X, Zhang Z, et al. Synthesis of magnetic resonance images from computed tomography data using "
        "convolutional neural network with contextual loss function. Quant Imaging Med Surg 2022."
    ),
    "medgan": (
        "Armanious K, Jiang C, Fischer M, et al. MedGAN: medical image translation using GANs. Comput Med Imaging "
        "Graph 2020;79:101684."
    ),
    "ms_ssim": (
        "Wang Z, Simoncelli EP, Bovik AC. Multiscale structural similarity for image quality assessment. Asilomar "
        "Conference on Signals, Systems and Computers 2003:1398-1402."
    ),
    "n4": (
        "Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. IEEE Trans Med Imaging "
        "2010;29:1310-1320."
    ),
    "pix2pix": (
        "Isola P, Zhu J-Y, Zhou T, Efros AA. Image-to-image translation with conditional adversarial networks. CVPR "
        "2017."
    ),
    "robex": (
        "Iglesias JE, Liu C-Y, Thompson PM, Tu Z. Robust brain extraction across datasets and comparison with publicly "
        "available methods. IEEE Trans Med Imaging 2011;30:1617-1634."
    ),
    "ssim": (
        "Wang Z, Bovik AC, Sheikh HR, Simoncelli EP. Image quality assessment: from error visibility to structural "
        "similarity. IEEE Trans Image Process 2004;13:600-612."
    ),
    "unet": (
        "Ronneberger O, Fischer P, Brox T. U-Net: convolutional networks for biomedical image segmentation. MICCAI "
        "2015:234-241."
    ),
}
"""References by key; the authors bring them into the style of their journal."""
