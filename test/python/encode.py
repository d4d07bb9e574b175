"""Runs the Python of a model card as it stands, and encodes images with it.

    encode.py CARD IMAGES OUT

IMAGES: float32, [batch, 3, side, side], RGB from 0 to 1, as numpy saves it. OUT: tokens, float32, row-major, no header.
Prints what the file says of itself, as JSON.
"""

import json
import os
import re
import sys

import numpy as np

card, images, out = map(os.path.abspath, sys.argv[1:])
os.chdir(os.path.dirname(card))
snippet = re.search(r"```python\n(.*?)\n```", open(card, encoding="utf-8").read(), re.S).group(1)
names = {}
exec(snippet, names)  # the test's own card
x = np.load(images)
said = {}
if "torch" in names:
    import safetensors

    tokens = names["encode"](names["torch"].from_numpy(x)).numpy()
    file = re.search(r'load_file\("(.*?)"\)', snippet).group(1)
    with safetensors.safe_open(file, "pt") as opened:
        said = opened.metadata()
else:
    import onnx

    onnx.checker.check_model(re.search(r'InferenceSession\("(.*?)"\)', snippet).group(1), full_check=True)
    tokens = names["encode"](x)
    said = names["session"].get_modelmeta().custom_metadata_map
np.ascontiguousarray(tokens, np.float32).tofile(out)
print(json.dumps(said))
