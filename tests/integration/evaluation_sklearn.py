"""scikit-learn on exported features: the optimum of its logistic regression by a solver of its, and its nearest neighbours'
votes, as JSON."""
import json
import sys

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

train, test = load_file("train.safetensors"), load_file("test.safetensors")
x, y = train["features"].astype(np.float64), train["labels"]
x_test, y_test = test["features"].astype(np.float64), test["labels"]
assert set(y) == set(range(10)), "every class has a training image"

# Where features have very different scales, its Newton solver gives up under a weaker penalty.
fits = []
for c in (0.001, 0.1, 10.0) if sys.argv[1] == "lbfgs" else (0.001, 0.01, 0.1):
    fit = LogisticRegression(C=c, tol=1e-10, max_iter=100_000, solver=sys.argv[1]).fit(x, y)
    logits = fit.decision_function(x)
    logits -= logits.max(1, keepdims=True)
    cross_entropy = (np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]).sum()
    fits.append({"c": c, "objective": c * cross_entropy + 0.5 * (fit.coef_**2).sum(), "top1": 100 * fit.score(x_test, y_test)})

# Cosine distance d: similarity 1 - d, votes exp(similarity / 0.1).
neighbours = KNeighborsClassifier(20, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.1), algorithm="brute").fit(x, y)
print(json.dumps({"linear": fits, "knn": neighbours.predict(x_test).tolist()}))
