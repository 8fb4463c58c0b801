"""The six verbs of `import kp_helpers as kit`: load, pictures, attend, discover, teach, find."""

from kp_helpers.diffusion import load
from kp_helpers.notebook.kit.attend import Attention, attend
from kp_helpers.notebook.kit.find import DOUBTFUL, Found, find
from kp_helpers.notebook.kit.learn import Discovered, Taught, discover, teach
from kp_helpers.notebook.kit.pictures import Pictures, pictures
