#!/usr/bin/env python3
"""The pages of `outsole report` in a browser: tests/report/pages_test.py OUTSOLE. Ends with 77 where there is none."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser, find_chromium  # noqa: E402

HOSTILE_MARK = "<script>alert(1)<script>"
HOSTILE_EXEMPLAR = '"><img src=x onerror=alert(2)>\' {{id}} &amp;'


def outsole(*words, ok=True):
    result = subprocess.run([sys.argv[1], *map(str, words)], capture_output=True, text=True)
    assert (result.returncode == 0) == ok, result.stdout + result.stderr
    return result.stdout + result.stderr


def make_search(folder):
    """Five marks in eight exemplars of two stores; ids that would act if they were not escaped."""
    outsole("synthesize", "exemplars", "--count", 8, "--seed", 3, "--size", "96x48", "--output", folder / "images")
    outsole("synthesize", "marks", "--exemplars", folder / "images", "--count", 5, "--seed", 2, "--output",
            folder / "marks")
    (folder / "images/00002.png").rename(folder / "images" / (HOSTILE_EXEMPLAR + ".png"))
    (folder / "marks/mark00001.png").rename(folder / "marks" / (HOSTILE_MARK + ".png"))
    (folder / "images/manifest.csv").unlink()
    (folder / "later").mkdir()
    for image in sorted((folder / "images").glob("0*.png"))[4:]:
        image.rename(folder / "later" / image.name)
    for images, name, like in (("images", "", ()), ("later", "later.", ("--like", folder / "index.h5"))):
        outsole("ingest", "--kind", "exemplars", "--input", folder / images, "--output", folder / f"{name}exemplars.h5")
        outsole("index", "--exemplars", folder / f"{name}exemplars.h5", "--output", folder / f"{name}index.h5", *like)
    outsole("search", "--index", folder / "index.h5", folder / "later.index.h5", "--marks", folder / "marks",
            "--all-scores", "--top", 6, "--angles-deg", "-8:8:8", "--output", folder / "results.h5")
    return ["report", "--results", folder / "results.h5", "--marks", folder / "marks"]


def check_quiet(browser, folder):
    """Nothing was complained of, and nothing asked for that is not in the folder."""
    assert browser.complaints == [], browser.complaints
    for url in browser.requests:
        assert url.startswith("file://" + str(folder)) or url.startswith("blob:"), url
    assert not browser.value("document.querySelector('[onerror], [onclick], script:not([src])') !== null")


def column(browser, number):
    return browser.value(f"[...document.querySelectorAll('#table tbody tr')].filter(r => !r.hidden)"
                         f".map(r => r.cells[{number}].dataset.value ?? r.cells[{number}].textContent)")


def check_list(browser, report):
    browser.open(report / "index.html")
    check_quiet(browser, report)
    names = "[...document.querySelectorAll('#table tbody th a')].map(a => a.lastElementChild.textContent)"
    assert HOSTILE_MARK in browser.value(names)
    click = "document.querySelectorAll('#table thead button')[2].click()"
    browser.value(click)
    scores = [float(value) for value in column(browser, 2)]
    assert len(scores) == 5 and scores == sorted(scores, reverse=True), scores
    browser.value(click)
    assert [float(value) for value in column(browser, 2)] == sorted(scores)
    sorts = browser.value("[...document.querySelectorAll('#table th[aria-sort]')].map(h => h.ariaSort)")
    assert sorts.count("ascending") == 1, sorts
    browser.press("/")
    for key in "00004":
        browser.press(key)
    shown = browser.value("[...document.querySelectorAll('#table tbody tr')].filter(r => !r.hidden).map(r => r.textContent)")
    assert 0 < len(shown) < 5 and all("00004" in text for text in shown), shown
    assert browser.value("document.querySelector('#count').value") == f"{len(shown)} of 5 marks"


def check_mark(browser, report):
    browser.open(report / "index.html")
    browser.value("document.querySelector('#table tbody th a').click()")
    while "Page.loadEventFired" not in browser.events[browser.events.index("Page.loadEventFired") + 1:]:
        browser.receive()
    chosen = "document.querySelector('#candidates tr.chosen').dataset.rank"
    state = "document.querySelector('#stages').className"
    assert browser.value(chosen) == "1"
    pose = browser.value("document.querySelector('.pose').getAttribute('transform')")
    browser.press("j")
    browser.press("j")
    browser.press("k")
    assert browser.value(chosen) == "2"
    assert browser.value("document.querySelector('.pose').getAttribute('transform')") != pose
    assert browser.value("getComputedStyle(document.querySelector('#detail-2')).display") == "block"
    assert browser.value("getComputedStyle(document.querySelector('#detail-1')).display") == "none"
    for key, name in (("f", "flicker"), ("s", "beside"), ("o", "overlay")):
        browser.press(key)
        assert name in browser.value(state), browser.value(state)
    box = browser.value("document.querySelector('#stage').getAttribute('viewBox')")
    browser.press("+")
    assert browser.value("document.querySelector('#stage').getAttribute('viewBox')") != box
    browser.press("0")
    assert browser.value("document.querySelector('#stage').getAttribute('viewBox')") == box
    browser.value("(o => { o.value = 20; o.dispatchEvent(new Event('input')); })(document.querySelector('#opacity'))")
    assert browser.value("getComputedStyle(document.querySelector('.ink')).opacity") == "0.2"
    loaded = "Promise.all([...document.querySelectorAll('#stage image[href]')].map(i => createImageBitmap(i).then(() => 1)))"
    assert browser.value(loaded) == [1, 1, 1], "pictures of the comparison"
    browser.press("r")
    browser.value("(n => { n.value = 'heel <b>worn</b>'; n.dispatchEvent(new Event('input')); })(document.querySelector('#notes'))")
    check_quiet(browser, report)
    browser.open(report / "index.html")
    review = browser.value("document.querySelector('.review').textContent")
    assert "1 of 6" in review and "notes" in review, review
    browser.value("(s => { s.value = 'noted'; s.dispatchEvent(new Event('change')); })(document.querySelector('#show'))")
    assert len(column(browser, 0)) == 1


def check_names(browser):
    """What screen readers say of the things that can be used."""
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    usable = {"button", "checkbox", "radio", "slider", "searchbox", "combobox", "textbox", "link", "image"}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in usable and not node.get("ignored"):
            assert node.get("name", {}).get("value"), f"a {role} without a name"


def check_print(browser, report, folder):
    browser.open(report / "marks/00002.html")
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF") and len(pdf) > 10000
    if shutil.which("pdftotext"):
        (folder / "page.pdf").write_bytes(pdf)
        text = subprocess.run(["pdftotext", folder / "page.pdf", "-"], capture_output=True, text=True).stdout
        for words in ("mark00002", "Candidates", "Among all exemplars", "Likelihood ratio"):
            assert words in text, text


def check_bare(browser, folder, command):
    """No index, no labels, one of two stores; a mark's file is gone, another was changed: pages all the same, which say
    so."""
    command = [*command, "--exemplars", folder / "exemplars.h5"]
    (folder / "marks/mark00003.png").unlink()
    shutil.copy(folder / "marks/mark00004.png", folder / "marks/mark00005.png")
    said = outsole(*command, "--output", folder / "bare")
    assert "lacks" in said and "of 8 exemplars" in said, said
    outsole(*command, "--strict", "--output", folder / "strict", ok=False)
    assert not (folder / "strict").exists()
    for page in ("index.html", "marks/00003.html", "marks/00004.html", "marks/00005.html"):
        browser.open(folder / "bare" / page)
        check_quiet(browser, folder / "bare")
    browser.open(folder / "bare/index.html")
    browser.value("(s => { s.value = 'lacking'; s.dispatchEvent(new Event('change')); })(document.querySelector('#show'))")
    assert len(column(browser, 0)) == 2


def check_evaluation(browser, report):
    browser.open(report / "evaluation.html")
    check_quiet(browser, report)
    drawn = browser.value("[...document.querySelectorAll('.plots img')].map(i => i.complete && i.naturalWidth > 0)")
    assert drawn == [True, True], drawn
    links = browser.value("[...document.querySelectorAll('.worst th a')].map(a => [a.textContent, a.getAttribute('href')])")
    assert len(links) == 5 and all((report / page).exists() for _, page in links), links
    assert HOSTILE_MARK in [name for name, _ in links], links
    check_names(browser)


def check_long_list(browser, report, folder):
    """Two thousand marks: what the script and the layout take, and pictures that come with their rows."""
    text = (report / "index.html").read_text()
    rows = re.findall("<tr role=\"row\" data-mark=.*</tr>\n", text)
    rows = [re.sub('<span class="thumb"><img src="([^"]*)"[^>]*></span>', r'<span class="thumb" data-src="\1"></span>', row)
            for row in rows]
    long = "".join(re.sub('data-mark="[0-9]*"', f'data-mark="{i + 1}"', rows[i % len(rows)]) for i in range(2000))
    shutil.copytree(report, folder / "long")
    (folder / "long/index.html").write_text(re.sub("(?s)<tr role=\"row\" data-mark=.*</tr>\n", lambda _: long, text))
    browser.ask("Performance.enable", timeDomain="threadTicks")
    browser.open(folder / "long/index.html")
    used = {entry["name"]: entry["value"] for entry in browser.ask("Performance.getMetrics")["metrics"]}
    browser.ask("Performance.disable")
    print("2,000 marks: " + ", ".join(f"{name} {1000 * used[name + 'Duration']:.0f} ms of processor time"
                                      for name in ("Script", "Layout", "RecalcStyle")))
    assert used["ScriptDuration"] < 0.2, used
    seen = "new Promise(r => requestAnimationFrame(() => setTimeout(() => r([...document.querySelectorAll('#table tbody tr')]" \
           ".map(row => row.querySelectorAll('img').length)), 100)))"
    pictures = browser.value(seen)
    assert pictures[0] == 2 and pictures[-1] == 0 and sum(pictures) < 200, pictures
    browser.value("scrollTo(0, document.querySelector('#table').scrollHeight)")
    assert browser.value(seen)[-1] == 2
    check_quiet(browser, folder / "long")


def main():
    if not find_chromium():
        print("skipped: Chromium is not installed")
        list_of_skipped = os.environ.get("OUTSOLE_SKIPPED")
        if list_of_skipped:
            with open(list_of_skipped, "a") as file:
                file.write("the report's pages in a browser: Chromium is not installed\n")
        return 77
    folder = pathlib.Path(tempfile.mkdtemp()).resolve()
    try:
        command = make_search(folder)
        labels = folder / "labels.csv"
        rows = re.sub("(?<=,)00002(?=,)", lambda _: '"' + HOSTILE_EXEMPLAR.replace('"', '""') + '"',
                      (folder / "marks/labels.csv").read_text())
        labels.write_text(rows.replace("mark00001", HOSTILE_MARK))
        outsole("evaluate", "retrieval", "--results", folder / "results.h5", "--labels", labels, "--group-column",
                "area", "--output", folder / "evaluation.json")
        both = ["--exemplars", folder / "exemplars.h5", folder / "later.exemplars.h5", "--index", folder / "index.h5",
                folder / "later.index.h5"]
        said = outsole(*command, *both, "--labels", labels, "--evaluation", folder / "evaluation.json", "--output",
                       folder / "page")
        assert "lacks" not in said, said
        outsole("report", "--verify", folder / "page")
        said = outsole("report", "--verify", folder / "page", "--exemplars", folder / "exemplars.h5", ok=False)
        assert "later.exemplars.h5: was not looked at" in said, said
        said = outsole(*command, "--exemplars", *2 * [folder / "exemplars.h5"], "--output", folder / "twice", ok=False)
        assert "exemplars.h5 and in " in said, said
        with Browser() as browser:
            check_list(browser, folder / "page")
            check_mark(browser, folder / "page")
            check_evaluation(browser, folder / "page")
            check_long_list(browser, folder / "page", folder)
            for page in ("index.html", "marks/00001.html"):
                browser.open(folder / "page" / page)
                check_names(browser)
            check_print(browser, folder / "page", folder)
            check_bare(browser, folder, command)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
