"""A study in a folder is stopped and goes on: the second call adds trials to the first."""

import tempfile

import archsmith as nas

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        options = {"data": "iris", "epochs": 2, "final_epochs": 4, "run": folder}
        first = nas.search(trials=3, finalists=0, **options)
        again = nas.search(trials=6, **options)
        assert again.history.trials[2].metrics == first.history.trials[2].metrics
        assert again.best is not None
        print(len(first.history.trials), "trials, then", len(again.history.trials))
        print(again.best.test)
