# %% [markdown]
# # Auditing a model in a notebook
#
# Open this file as a notebook (VS Code, PyCharm and Jupytext know the `# %%` cells), or run it: `python notebook.py`.
# It needs nothing but `pip install fairwitness`.

# %%
"""An audit in a notebook: load data, train a model, audit it, look at numbers, show the report."""

from pathlib import Path

from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairwitness.audit import Dataset, run
from fairwitness.reports.html import render

# %% [markdown]
# ## Data
#
# 442 patients (Efron et al. 2004). To be predicted: whether their diabetes progressed more than in the median patient.
# Sex is 1 or 2, and the source does not say which is which.

# %%
patients = load_diabetes(scaled=False, as_frame=True).frame
patients["progressed"] = (patients.pop("target") > 140.5).astype(int)
patients["sex"] = patients["sex"].astype(int)
train, test = train_test_split(patients, test_size=0.5, random_state=0, stratify=patients["progressed"])

# %% [markdown]
# ## Model
#
# It is given neither sex nor age, which is no proof of anything: blood values tell both.

# %%
features = ["bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[features], train["progressed"])

# %% [markdown]
# ## Audit
#
# A gate compares the whole confidence interval with its bound: it passes, fails, or cannot be decided with these rows.

# %%
evidence = run(
    model,
    Dataset(test, target="progressed", positive=1, sensitive=["sex", "age"], bins={"age": [40, 55]}),
    name="Progression of diabetes",
    checks=["performance", "fairness"],
    gates=[
        {"metric": "performance.classification.roc_auc", "min": 0.7},
        {"metric": "fairness.group.equal_opportunity_difference", "attribute": "sex", "max": 0.1},
    ],
)
for gate in evidence.gates:
    print(f"{gate.verdict:14}{gate.id}")

# %% [markdown]
# ## Numbers
#
# `find` gives one measurement: its value, its interval, and the rows that it rests on.

# %%
gap = evidence.find("fairness.group.equal_opportunity_difference", attribute="sex")
print(gap.value, gap.interval, gap.n)
for sex in ("1", "2"):
    found = evidence.find("fairness.group.true_positive_rate", attribute="sex", group=sex)
    print(f"sex {sex}: {found.value:.2f} of {found.n} patients whose disease progressed are found")

# %% [markdown]
# ## Report
#
# One file that needs nothing else: open it, mail it, keep it. In a notebook it is shown below.

# %%
report = Path("report.html")
report.write_text(render(evidence), encoding="utf-8")
Path("evidence.json").write_text(evidence.to_json(), encoding="utf-8")
print(f"The report is in {report.resolve()}")

if "get_ipython" in globals():  # in a notebook, and not as a script
    from IPython.display import IFrame, display

    display(IFrame(str(report), width="100%", height=600))
