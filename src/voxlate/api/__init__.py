"""The public functions of `import voxlate`: one for each step, on paths or on objects in memory.

Each does what the verb of the same name does on the command line. A path is a `str` or a `Path`. A model is the name of
a pretrained one, the folder of a bundle, or a `Bundle`. A table of cases is a path or a list of `Case`.

The examples run in a folder with a scan, `T1ce.nii.gz`, a table of aligned cases, `cases.tsv`, one of cases that are
not prepared, `raw.tsv`, and a recipe, `my.yaml`.
"""
