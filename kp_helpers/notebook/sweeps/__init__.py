"""Sweeps of `sweeps.yaml`: joints x seeds x settings, each of them a job with a result folder of its own.

`plan` reads the file and is light, since Snakemake asks it at every start; `job` does the work of one;
`table` has what is missing, failed or done. On the command line:
`python -m kp_helpers.notebook.sweeps job|summary`.
"""
