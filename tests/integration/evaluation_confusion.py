"""scikit-learn's confusion matrices and accuracies of classes, from what was said of each image, against what stands beside it."""
import csv
import json

from sklearn.metrics import confusion_matrix, recall_score

row = json.load(open("evaluation.json"))[0]
images = list(csv.DictReader(open("evaluation-images.csv", newline="")))
classes = list(csv.DictReader(open("evaluation-classes.csv", newline="")))
table = list(csv.DictReader(open("evaluation-confusion.csv", newline="")))
names = [c["class"] for c in row["classes"]]
assert [c["class"] for c in classes] == names and len(images) == row["test_images"]

for by in ("linear", "knn"):
    true, said = [i["class"] for i in images], [i[by] for i in images]
    matrix = confusion_matrix(true, said, labels=names)
    own = [[0] * len(names) for _ in names]
    for label, taken, count in row["confusion"][by]:
        own[label][taken] = count
    assert matrix.tolist() == own, by
    listed = {(r["class"], r["said"]): int(r["images"]) for r in table if r["by"] == by}
    expected = {(names[i], names[j]): int(n) for i, line in enumerate(matrix) for j, n in enumerate(line) if n}
    assert listed == expected, by
    for c, line, recall in zip(row["classes"], classes, recall_score(true, said, labels=names, average=None)):
        assert abs(c[f"{by}_top1"] - 100 * recall) < 1e-9 and float(line[f"{by}_top1"]) == c[f"{by}_top1"], c
    assert abs(100 * matrix.trace() / matrix.sum() - row[f"{by}_top1"]) < 1e-9
    assert 0 < matrix.trace() < matrix.sum(), "some are right and some are not"
print("the same")
