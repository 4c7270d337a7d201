"""Draws the networks of the papers as the experiments' figures of kind `networks` do, for the documents.

python benchmarks/figure_networks.py
"""

from __future__ import annotations

from machine import ROOT

from voxlate.bundle.recipe import read_recipe
from voxlate.experiments.networks import stages_of
from voxlate.reporting.figures.drawing import save
from voxlate.reporting.figures.network_diagram import draw_networks
from voxlate.shipped import shipped_files

NETWORKS = {
    "Res-U-Net, Bottani et al. 2024": ("bottani2024/faithful", ["res_unet"]),
    "Trans-U-Net, Bottani et al. 2024": ("bottani2024/faithful", ["trans_unet"]),
    "HR-FCN as printed, Chen et al. 2022": ("chen2022/faithful", ["printed"]),
    "DRUNet-101, Li et al. 2022": ("li2022/faithful", []),
    "voxlate's default": ("t1ce_to_t1", []),
}
"""Recipe and variants by label: one network of each form."""


def main() -> None:
    recipes = shipped_files("recipes")
    found = {label: stages_of(read_recipe(recipes[name], variants=v)) for label, (name, v) in NETWORKS.items()}
    drawing = draw_networks(
        {label: stages for label, (stages, _) in found.items()}, {label: count for label, (_, count) in found.items()}
    )
    png, svg, text = save(drawing, ROOT / "docs" / "images" / "networks")
    svg.unlink()
    text.unlink()
    print(png)


if __name__ == "__main__":
    main()
