#!/usr/bin/env python3
"""What wear models reach beside their baselines: docs/wear.md's tables.

    wear_accuracy.py OUTSOLE FOLDER [PART...]

OUTSOLE is the program; data, models and evaluations come to FOLDER, and what is there is not made again: stopped, the
same command goes on. PART: any of time, pair, csafe, recent; the first three without. One rank, one thread.
  time   five synthetic years, one pair of shoes each; of each the last fifth of the weeks is held out, for
         reconstruction the first fifth
  pair   eight synthetic pairs of shoes, two of them held out
  recent the forward models of `time` beside half the trend of each shoe's own last training scans
  csafe  the 63 scans of CSAFE's longitudinal study (in the folder that OUTSOLE_DATA names), one pair of four held out
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys

SIZE = "160x64"
# Chosen on the first two synthetic years, forward, then kept.
COMMON = ["--schedule", "cosine", "--batch", "8", "--learning-rate", "1e-3", "--ssim-weight", "8"]
SETTINGS = {
    "time": ["--network", "residual", "--first-maps", "16", "--epochs", "30"],
    "pair": ["--network", "residual", "--first-maps", "16", "--shift-px", "4", "--mirror", "--epochs", "4"],
    "csafe": ["--network", "residual", "--first-maps", "16", "--shift-px", "4", "--mirror", "--epochs", "20"],
}
TASKS = {"prediction": "forward", "reconstruction": "backward"}
METHODS = ["model", "persistence", "last_training_week", "training_mean", "linear_trend"]


def run(outsole, *words):
    subprocess.run([outsole, *words, "--threads", "1", "--log-level", "warn"], check=True, stdout=subprocess.DEVNULL)


def synthetic(outsole, name, seed, pairs, size):
    """name.h5 and, beside it, name.year with the truth."""
    if pathlib.Path(f"{name}.h5").exists():
        return
    run(outsole, "synthesize", "wear", "--seed", str(seed), "--count", str(pairs), "--size", size, "--output", f"{name}.year")
    run(outsole, "ingest", "--kind", "scans", "--input", f"{name}.year", "--manifest", f"{name}.year/manifest.csv",
        "--output", f"{name}.scans.h5")
    run(outsole, "prepare", "--scans", f"{name}.scans.h5", "--size", SIZE, "--output", f"{name}.h5")


def csafe(outsole, name):
    data = pathlib.Path(os.environ.get("OUTSOLE_DATA", "")) / "csafe_wear"
    if not data.is_dir():
        sys.exit("csafe: OUTSOLE_DATA names no folder with csafe_wear")
    if pathlib.Path(f"{name}.h5").exists():
        return
    run(outsole, "ingest", "--kind", "scans", "--input", str(data / "scans_100dpi"), "--manifest",
        str(data / "manifest.csv"), "--where", "dpi=100", "--week-column", "weeks_since_first", "--output", f"{name}.scans.h5")
    run(outsole, "prepare", "--scans", f"{name}.scans.h5", "--size", SIZE, "--output", f"{name}.h5")


def evaluation(outsole, part, data, task, seed):
    """The JSON of a model that is trained, if need be, by the settings of `part`."""
    name = f"{data}_{part}_{TASKS[task]}_{seed}"
    result = pathlib.Path(f"{name}.json")
    if not result.exists():
        split = "time" if part == "time" else "pair"
        run(outsole, "train", "--scans", f"{data}.h5", "--task", task, "--split", split, "--seed", str(seed), *COMMON,
            *SETTINGS[part], "--output", name)
        clean = pathlib.Path(f"{data}.year/truth/clean")
        run(outsole, "evaluate", "wear", "--model", f"{name}/model.h5", "--scans", f"{data}.h5", "--output",
            str(result), "--figure", f"{name}.svg", *(["--clean", str(clean)] if clean.is_dir() else []))
    return json.loads(result.read_text())


def recent_trend(outsole, data, seed):
    """The JSON of a forward model of `time` with one answer more."""
    evaluation(outsole, "time", data, "prediction", seed)
    name = f"{data}_time_prediction_{seed}"
    result = pathlib.Path(f"{name}.recent.json")
    if not result.exists():
        run(outsole, "evaluate", "wear", "--model", f"{name}/model.h5", "--scans", f"{data}.h5", "--recent-trend",
            "--clean", f"{data}.year/truth/clean", "--output", str(result))
    return json.loads(result.read_text())


def cell(evaluations, part, measure, method, decimals):
    """Mean over the evaluations of a method's mean, and its standard deviation if there are several."""
    means = []
    for evaluation in evaluations:
        for key in part:
            evaluation = evaluation.get(key, {})
        mean = evaluation.get(measure, {}).get(method, {}).get("mean")
        if mean is not None:
            means.append(mean)
    if not means:
        return "-"
    spread = f" +- {statistics.stdev(means):.{decimals}f}" if len(means) > 1 else ""
    return f"{statistics.mean(means):.{decimals}f}{spread}"


def print_table(title, evaluations, parts, methods=METHODS):
    """A row a part; SSIM and PSNR of every method."""
    print(f"\n### {title}\n")
    print("| pairs | " + " | ".join(method.replace("_", " ") for method in methods) + " |")
    print("|---|" + "---|" * len(methods))
    for label, part in parts.items():
        cells = [
            f"{cell(evaluations, part, 'ssim', method, 3)}<br>{cell(evaluations, part, 'psnr_db', method, 1)} dB"
            for method in methods
        ]
        if any(not text.startswith("-") for text in cells):
            print(f"| {label} | " + " | ".join(cells) + " |")
    whole = [evaluation["eight_weeks_and_more"]["beats_all_baselines"] for evaluation in evaluations]
    for measure in ("ssim", "psnr_db"):
        beaten = sum(1 for part in whole if part[measure])
        print(f"\n{measure}, 8 weeks and more: better than every baseline in {beaten} of {len(whole)}.", end="")
    print()


# Only reconstruction has these.
TARGETS = {"target weeks seen in training": ["trained_target_weeks"],
           "target weeks never seen in training": ["unseen_target_weeks"]}
BY_WEEKS = {f"{name} weeks apart": ["by_weeks", name] for name in ("2-6", "8-14", "16-26", "28-52")}
PARTS = {**TARGETS, "8 weeks and more": ["eight_weeks_and_more"], **BY_WEEKS,
         "8 weeks and more, noise-free truth": ["clean", "eight_weeks_and_more"]}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    outsole, folder = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2])
    chosen = sys.argv[3:] or list(SETTINGS)
    unknown = set(chosen) - set(SETTINGS) - {"recent"}
    if unknown:
        sys.exit(f"no part {unknown.pop()}: {', '.join(SETTINGS)}, recent")
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    for part in chosen:
        if part in ("time", "recent"):
            runs = [(f"seed{seed}", seed) for seed in range(1, 6)]
            for name, seed in runs:
                synthetic(outsole, name, seed, 1, "640x256")
        elif part == "pair":
            synthetic(outsole, "pairs", 11, 8, "320x128")
            runs = [("pairs", seed) for seed in [1]]
        else:
            csafe(outsole, "csafe")
            runs = [("csafe", seed) for seed in [1]]
        if part == "recent":
            print_table("Forward, split by time, beside the recent trend",
                        [recent_trend(outsole, data, seed) for data, seed in runs], PARTS, [*METHODS, "recent_trend"])
            continue
        for task, name in TASKS.items():
            evaluations = [evaluation(outsole, part, data, task, seed) for data, seed in runs]
            print_table(f"{name.capitalize()}, split by {evaluations[0]['split']}: {', '.join(SETTINGS[part])}",
                        evaluations, PARTS)


if __name__ == "__main__":
    main()
