"""Lumbar spines: registration of CT and T2w, discs from labels, and one slice for each disc, as in Lee et al. 2020.

- `labels`: which voxels are discs, vertebrae and the spinal canal;
- `planes`: planes, slices and the crop of a disc;
- `sections`: a registered pair, and the two slices through each disc;
- `run`: all patients of a table.
"""
