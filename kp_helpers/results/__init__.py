"""Results on disk: `RunFolder` writes one run, `python -m kp_helpers.results index DIR` shows all of them."""

from kp_helpers.results.provenance import describe_data, describe_picture, run_facts
from kp_helpers.results.run_folder import Metric, Prediction, ResultsError, RunFolder, project_path
