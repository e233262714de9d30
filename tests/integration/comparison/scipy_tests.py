"""scipy on the cases of a file: paired and Welch's t-tests with their intervals, and Holm's correction by its definition, as JSON."""
import json
import sys

import numpy as np
from scipy import stats

cases = json.load(open(sys.argv[1]))
found = []
for case in cases:
    a, b = np.array(case["a"]), np.array(case["b"])
    if case["paired"]:
        result, d = stats.ttest_rel(a, b), a - b
        df, error, mean = len(d) - 1, stats.sem(d), d.mean()
    else:
        result = stats.ttest_ind(a, b, equal_var=False)
        u, v = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
        df = (u + v) ** 2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))
        error, mean = np.sqrt(u + v), a.mean() - b.mean()
    low, high = stats.t.interval(0.95, df, loc=mean, scale=error)
    sd = [float(x.std(ddof=1)) for x in (a, b)]
    found.append({"t": float(result.statistic), "p": float(result.pvalue), "df": float(df), "low": float(low), "high": float(high), "sd": sd})

p = np.array([test["p"] for test in found])
holm, most = np.zeros(len(p)), 0.0
for rank, index in enumerate(np.argsort(p)):
    most = max(most, min(1.0, (len(p) - rank) * p[index]))
    holm[index] = most
print(json.dumps({"tests": found, "holm": holm.tolist()}))
