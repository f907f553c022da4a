"""data_schemas/python/outsole_store.py on what a small search leaves. Usage: reader_test.py OUTSOLE"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "data_schemas", "python"))
import outsole_store  # noqa: E402

OUTSOLE = sys.argv.pop(1)


def outsole(*words):
    done = subprocess.run([OUTSOLE, *words, "--threads", "1", "--log-level", "warn"], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"outsole {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Reader(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        at = cls.at
        outsole("synthesize", "exemplars", "--count", "3", "--size", "96x48", "--output", at("exemplars"))
        outsole("synthesize", "marks", "--exemplars", at("exemplars"), "--count", "2", "--output", at("marks"))
        outsole("ingest", "--kind", "exemplars", "--input", at("exemplars"), "--output", at("exemplars.h5"))
        outsole("index", "--exemplars", at("exemplars.h5"), "--extractor", "pixels", "--output", at("index.h5"))
        outsole("search", "--index", at("index.h5"), "--marks", at("marks"), "--angles-deg", "0", "--stride-px", "8",
                "--output", at("results.h5"), "--csv", at("results.csv"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder, name)

    def copied(self, name):
        """A copy of the exemplars, for harm."""
        path, shards = self.at(name + ".h5"), self.at(name + ".shards")
        shutil.copy(self.at("exemplars.h5"), path)
        shutil.copytree(self.at("exemplars.shards"), shards)
        return path, shards

    def test_candidates_are_those_of_the_csv(self):
        results = outsole_store.open(self.at("results.h5"))
        with open(self.at("results.csv"), newline="") as file:
            lines = list(csv.DictReader(file))
        for mark in results.ids():
            of_mark = [line for line in lines if line["mark"] == mark]
            candidates = results.candidates(mark)
            self.assertEqual([c["exemplar"] for c in candidates], [line["exemplar"] for line in of_mark])
            for candidate, line in zip(candidates, of_mark):
                self.assertAlmostEqual(candidate["score"], float(line["score"]), places=4)
        self.assertEqual(len(results.candidates(results.ids()[0], top=1)), 1)
        self.assertEqual(results.complaints(), [])

    def test_an_image_is_what_h5py_shows(self):
        store = outsole_store.open(self.at("exemplars.h5"))
        self.assertEqual(len(store.ids()), 3)
        for row, key in enumerate(store.ids()):
            image = store.image(key)
            self.assertEqual(image.shape, (96, 48))
            with h5py.File(self.at("exemplars.h5")) as view:
                first, length = view["pixels_offset"][row], view["pixels_length"][row]
                numpy.testing.assert_array_equal(image.ravel(), view["pixels"][first : first + length])
        self.assertIn("metadata", store)
        store.metadata(0)

    def test_every_data_set_explains_itself(self):
        for name in ("exemplars.h5", "index.h5", "results.h5"):
            store = outsole_store.open(self.at(name))
            with h5py.File(self.at(name)) as view:
                for dataset in store.datasets:
                    attributes = view[dataset].attrs
                    self.assertIn(store.description(dataset), attributes["description"].decode())
                    self.assertEqual(attributes.get("unit", b"").decode(), store.unit(dataset))
                    for dimension in view[dataset].dims:
                        self.assertTrue(dimension.label)
                    store[dataset]
        with h5py.File(self.at("results.h5")) as view:
            self.assertEqual([d.label for d in view["top_y_px"].dims], ["marks", "top"])
            self.assertEqual(view["top_y_px"].attrs["unit"], b"px")

    def test_a_store_renamed_by_hand_is_read_by_the_reader_and_half_a_copy_is_refused(self):
        path, shards = self.copied("half")
        os.rename(path, self.at("alone.h5"))
        with self.assertRaisesRegex(outsole_store.StoreError, "missing"):
            outsole_store.open(self.at("alone.h5"))
        os.rename(shards, self.at("alone.shards"))  # where h5py alone shows zeros
        self.assertTrue(outsole_store.open(self.at("alone.h5")).image(0).any())
        os.truncate(os.path.join(self.at("alone.shards"), "00000.h5"), 700)
        with self.assertRaisesRegex(outsole_store.StoreError, "truncated"):
            outsole_store.open(self.at("alone.h5"))

    def test_altered_bytes_are_complaints_and_a_strange_shard_is_never_read(self):
        path, shards = self.copied("altered")
        shard = os.path.join(shards, "00000.h5")
        with open(shard, "r+b") as file:
            file.seek(600)
            byte = file.read(1)
            file.seek(600)
            file.write(bytes([byte[0] ^ 1]))
        self.assertRegex(outsole_store.open(path).complaints()[0], "00000.h5")
        shutil.copy(os.path.join(self.at("results.shards"), "00000.h5"), shard)
        with self.assertRaises(outsole_store.StoreError):
            outsole_store.open(path).image(0)

    def test_what_outsole_renames_h5py_reads(self):
        path, shards = self.at("before.h5"), self.at("before.shards")
        outsole("copy", self.at("exemplars.h5"), path)
        outsole("rename", path, self.at("after.h5"))
        self.assertFalse(os.path.exists(path) or os.path.exists(shards))
        with h5py.File(self.at("after.h5")) as view:
            self.assertTrue(view["pixels"][()].any())
        with open(self.at("after.provenance.json")) as file:
            provenance = json.load(file)
        self.assertEqual((provenance["output"], provenance["renamed_from"]), ("after.h5", "before.h5"))
        self.assertIn("OK", outsole("validate", self.at("after.h5")))

    def test_exported_images_and_tables_are_what_the_store_holds(self):
        outsole("export", self.at("exemplars.h5"), "--output", self.at("exported"))
        outsole("ingest", "--kind", "exemplars", "--input", self.at("exported"), "--output", self.at("again.h5"))
        store, again = outsole_store.open(self.at("exemplars.h5")), outsole_store.open(self.at("again.h5"))
        for key in store.ids():
            numpy.testing.assert_array_equal(again.image(key), store.image(key))
        with open(os.path.join(self.at("exported"), "images.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["id"] for row in rows], store.ids())
        self.assertEqual([row["pixels_sha256"] for row in rows], [bytes(d).hex() for d in store["pixels_sha256"]])
        outsole("export", self.at("results.h5"), "--output", self.at("tables"))
        with open(os.path.join(self.at("tables"), "marks_top.csv"), newline="") as file:
            first = next(csv.DictReader(file))
        results = outsole_store.open(self.at("results.h5"))
        best = results.candidates(first["mark_id"])[0]
        self.assertEqual((first["top"], first["top_exemplar"]), ("1", best["exemplar"]))
        self.assertAlmostEqual(float(first["top_score"]), best["score"], places=6)

    def lines_of_the_document(self, heading):
        with open(os.path.join(HERE, "..", "..", "docs", "open_files.md"), encoding="utf-8") as file:
            section = file.read().split(f"## {heading}\n")[1].split("\n## ")[0]
        return "".join(line[4:] for line in section.splitlines(keepends=True) if line.startswith("    ") or line == "\n")

    def run_lines(self, heading, *program):
        schemas = self.at("data_schemas")
        if not os.path.exists(schemas):
            os.symlink(os.path.abspath(os.path.join(HERE, "..", "..", "data_schemas")), schemas)
        script = self.at("lines." + heading)
        with open(script, "w", encoding="utf-8") as file:
            file.write(self.lines_of_the_document(heading))
        done = subprocess.run([*program, script], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        results = outsole_store.open(self.at("results.h5"))
        for candidate in results.candidates(0):
            self.assertIn(candidate["exemplar"], done.stdout)

    def test_the_lines_of_python_that_the_document_shows_run(self):
        try:
            import PIL  # noqa: F401
        except ImportError:
            self.skipTest("python3-pil is missing")
        self.run_lines("Python", sys.executable)
        self.assertTrue(os.path.exists(self.at("best.png")))

    def test_the_lines_of_r_that_the_document_shows_run(self):
        if subprocess.run(["sh", "-c", "Rscript -e 'library(hdf5r)'"], capture_output=True).returncode != 0:
            self.skipTest("r-cran-hdf5r is missing")
        self.run_lines("R", "Rscript")

    def test_no_store_is_no_store(self):
        for name in ("results.csv", "absent.h5", os.path.join("results.shards", "00000.h5")):
            with self.assertRaises(outsole_store.StoreError):
                outsole_store.open(self.at(name))


if __name__ == "__main__":
    unittest.main()
