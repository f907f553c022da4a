"""Reads outsole's stores in Python, with numpy and h5py alone and by the layouts in data_schemas/*.json.

    import outsole_store
    results = outsole_store.open("results.h5")
    for candidate in results.candidates("00001", top=8):
        print(candidate["rank"], candidate["exemplar"], candidate["score"])
    picture = outsole_store.open("exemplars.h5").image("00107")      # numpy array [height, width]

A store is NAME.h5 over shards in NAME.shards/. h5py alone shows fill values, without an error, where a shard is missing
or the store was renamed; this module reads the shards themselves and raises StoreError, which names the file. As a
program it lists what a store holds:  python3 outsole_store.py NAME.h5 [--check]
"""

import builtins
import hashlib
import json
import os
import re
import sys

import h5py
import numpy

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
SEAL_BYTES = 512  # of view and shards: text, with the SHA-256 of all bytes after them
TITLE = {"view": b"outsole store\n", "shard": b"outsole shard\n"}


class StoreError(Exception):
    """A store that is damaged, incomplete or none; the message names the file."""


def open(path):  # noqa: A001 - as h5py.File, the module's one entry
    """The store NAME.h5; all its shards must be there, of the size that it lists."""
    return Store(path)


class Store:
    def __init__(self, path):
        self.path = os.fspath(path)
        _require_seal(self.path, "view")
        with _opened(self.path) as view:
            self.schema, self.version, self.parameters = _header(view)
            self.layout = _layout_of(self.schema, self.version, self.path)
            self.shards = _shard_table(view)
            kept = [name for name in view if name != "shards" and not _is_by_row(self.layout, name)]
            self._whole = {name: _values(view[name]) for name in kept if name in self.layout["datasets"]}
            present = set(view)
        self.rows = sum(shard["rows"] for shard in self.shards)
        self.datasets = [name for name in self.layout["datasets"] if name in present]
        for name, entry in self.layout["datasets"].items():
            if name not in present and not entry.get("optional"):
                raise StoreError(f"{self.path}: data set '{name}' is missing")
        for shard in self.shards:
            _require_size(shard)
        self._first_row = numpy.cumsum([0] + [shard["rows"] for shard in self.shards])

    # --- Data sets ----------------------------------------------------------------------------------------------------

    def __contains__(self, name):
        return name in self.datasets

    def __getitem__(self, name):
        """A whole data set: an array, of texts as str; of one whose rows differ in length a list of arrays."""
        self._require(name)
        if name in self._whole:
            return self._whole[name]
        parts = [self._of_shard(unit, name) for unit in range(len(self.shards))]
        if self.is_ragged(name):
            return [row for part in parts for row in part]
        return numpy.concatenate(parts)

    def row(self, name, index):
        """One row of a data set; the others are not read."""
        self._require(name)
        if name in self._whole:
            return self._whole[name][index]
        if not 0 <= index < self.rows:
            raise IndexError(f"{self.path}: row {index} of {self.rows}")
        unit = int(numpy.searchsorted(self._first_row, index, side="right")) - 1
        return self._of_shard(unit, name, index - int(self._first_row[unit]))

    def is_ragged(self, name):
        return self.layout["datasets"][name]["shape"][-1] == "*"

    def description(self, name):
        return self.layout["datasets"][name].get("description", "")

    def unit(self, name):
        """"px", "degree", ...; empty: none."""
        return self.layout["datasets"][name].get("unit", "")

    # --- What most people want ----------------------------------------------------------------------------------------

    def ids(self):
        """Of the rows: of images, marks or inputs."""
        for name in ("id", "mark_id", "input_id"):
            if name in self and _is_by_row(self.layout, name):
                return list(self[name])
        raise StoreError(f"{self.path}: the rows of {self.schema} have no ids")

    def index_of(self, key):
        """The row of an id; a whole number is a row already."""
        if not isinstance(key, str):
            return int(key)
        places = [i for i, known in enumerate(self.ids()) if known == key]
        if len(places) != 1:
            raise KeyError(f"{self.path}: {len(places)} rows have the id '{key}'")
        return places[0]

    def image(self, key):
        """The pixels of a row, by its id or number: an array [height, width], uint8 or uint16."""
        row = self.index_of(key)
        pixels = self.row("pixels", row)
        if pixels.ndim == 2:
            return pixels
        if "bit_depth" in self and self.row("bit_depth", row) == 16:
            pixels = pixels.view("<u2")
        height, width = int(self.row("height_px", row)), int(self.row("width_px", row))
        if height < 0 or width < 0 or height * width != pixels.size:
            raise StoreError(f"{self.path}: row {row} has {pixels.size} pixels, not {height} x {width}")
        return pixels.reshape(height, width)

    def metadata(self, key):
        """The manifest's other columns of an image."""
        return json.loads(bytes(self.row("metadata", self.index_of(key))).decode())

    def candidates(self, mark, top=None):
        """Of results: the best exemplars of a mark, best first, each a dict as a line of `search --csv`."""
        if self.schema != "outsole.results":
            raise StoreError(f"{self.path}: is {self.schema}, not the results of a search")
        row = self.index_of(mark)
        places = self.row("top_exemplar", row)
        exemplars = self["exemplar_id"]
        columns = {name: self.row("top_" + name, row) for name in ("score", "angle_deg", "y_px", "x_px", "mirrored")}
        found = []
        for rank, place in enumerate(places if top is None else places[:top]):
            if not 0 <= place < len(exemplars):
                continue  # fewer exemplars than places
            candidate = {"rank": rank + 1, "exemplar": exemplars[place]}
            candidate.update({name: values[rank].item() for name, values in columns.items()})
            found.append(candidate)
        return found

    def complaints(self):
        """Reads every byte: what is wrong with the files' SHA-256, one sentence each. Empty: nothing."""
        found = []
        for kind, path, expected in [("view", self.path, None)] + [
            ("shard", shard["path"], shard["sha256"]) for shard in self.shards
        ]:
            try:
                digest = _check_seal(path, kind)
            except StoreError as error:
                found.append(str(error))
                continue
            if expected is not None and digest != expected:
                found.append(f"{path}: is not the shard that {self.path} lists (its SHA-256 differs)")
        return found

    # ------------------------------------------------------------------------------------------------------------------

    def _require(self, name):
        if name not in self.datasets:
            raise KeyError(f"{self.path}: no data set '{name}'; there are {', '.join(self.datasets)}")

    def _of_shard(self, unit, name, row=None):
        shard = self.shards[unit]
        _require_size(shard)
        with _opened(shard["path"]) as file:
            if _header(file) != (self.schema, self.version, self.parameters) or file.attrs["unit"] != unit:
                raise StoreError(f"{shard['path']}: belongs to another store than {self.path}")
            if name not in file or not self.is_ragged(name) and file[name].shape[:1] != (shard["rows"],):
                raise StoreError(f"{shard['path']}: '{name}' has not {shard['rows']} rows")
            if not self.is_ragged(name):
                return _values(file[name]) if row is None else _values(file[name], row)
            lengths = file[name + "_length"][()]
            if len(lengths) != shard["rows"] or lengths.min(initial=0) < 0 or lengths.sum() != len(file[name]):
                raise StoreError(f"{shard['path']}: '{name}' has impossible row lengths")
            ends = numpy.cumsum(lengths)
            if row is not None:
                return file[name][ends[row] - lengths[row] : ends[row]]
            return numpy.split(file[name][()], ends[:-1]) if len(ends) else []


# --- Files ------------------------------------------------------------------------------------------------------------


def _opened(path):
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error}") from error


def _require_seal(path, kind):
    try:
        with builtins.open(path, "rb") as file:
            head = file.read(SEAL_BYTES)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if not head.startswith(TITLE[kind]):
        raise StoreError(f"{path}: is not the {kind} of a store of outsole (a shard is opened through NAME.h5)")
    return head


def _check_seal(path, kind):
    """The SHA-256 of the whole file."""
    head = _require_seal(path, kind)
    after, whole = hashlib.sha256(), hashlib.sha256(head)
    with builtins.open(path, "rb") as file:
        file.seek(SEAL_BYTES)
        for piece in iter(lambda: file.read(1 << 20), b""):
            after.update(piece)
            whole.update(piece)
    if after.hexdigest().encode() not in head:
        raise StoreError(f"{path}: was truncated or altered since it was written (its SHA-256 differs)")
    return whole.hexdigest()


def _header(file):
    try:
        schema, version = file.attrs["schema"], int(file.attrs["version"])
        return _text(schema), version, json.loads(_text(file.attrs["parameters"]))
    except (KeyError, ValueError) as error:
        raise StoreError(f"{file.filename}: lacks what a store says of itself: {error}") from error


def _layout_of(schema, version, path):
    if not re.fullmatch(r"outsole\.[a-z_]+", schema):
        raise StoreError(f"{path}: unknown schema '{schema}'")
    try:
        with builtins.open(os.path.join(SCHEMAS, f"{schema}.v{version}.json"), encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise StoreError(f"{path}: {schema}, version {version}, is unknown here; a newer outsole wrote it") from error


def _shard_table(view):
    """Names, places, sizes and rows of the shards. Names come from the file: only 00000.h5, 00001.h5, ... are taken."""
    table = view["shards"]
    names, digests = _values(table["name"]), _values(table["sha256"])
    sizes, rows = table["size_bytes"][()], table["rows"][()]
    if not len(names) == len(digests) == len(sizes) == len(rows) == view.attrs["units"]:
        raise StoreError(f"{view.filename}: the table of shards is broken")
    shards = []
    for i, name in enumerate(names):
        if name != f"{i:05d}.h5" or rows[i] < 0:
            raise StoreError(f"{view.filename}: the table of shards is broken")
        path = os.path.join(_shards_folder(view.filename, name), name)
        shards.append({"path": path, "sha256": digests[i], "size_bytes": int(sizes[i]), "rows": int(rows[i])})
    return shards


def _shards_folder(view, first_shard):
    """NAME.shards beside NAME.h5 or, where that is a link, beside what it leads to."""
    for name in (view, os.path.realpath(view)):
        folder = os.path.splitext(name)[0] + ".shards"
        if os.path.exists(os.path.join(folder, first_shard)):
            return folder
    return os.path.splitext(view)[0] + ".shards"


def _require_size(shard):
    try:
        size = os.path.getsize(shard["path"])
    except OSError as error:
        raise StoreError(f"{shard['path']}: this shard is missing; was the store renamed, or copied in part?") from error
    if size != shard["size_bytes"]:
        raise StoreError(f"{shard['path']}: is truncated or of another store: {size} bytes, not {shard['size_bytes']}")


def _is_by_row(layout, name):
    for suffix in ("", "_length", "_offset"):
        base = name[: len(name) - len(suffix)] if name.endswith(suffix) else name
        if base in layout["datasets"]:
            return layout["datasets"][base]["shape"][0] == layout["rows"]
    return False


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _values(dataset, row=None):
    values = dataset[()] if row is None else dataset[row]
    if dataset.dtype.kind != "S":
        return values
    if row is not None:
        return values.decode()
    return numpy.array([value.decode() for value in values], dtype=object)


def _main(words):
    paths = [word for word in words if word != "--check"]
    if not paths:
        print(__doc__)
        return 2
    wrong = 0
    for path in paths:
        try:
            store = open(path)
            print(f"{path}: {store.schema} version {store.version}, {store.rows} rows in {len(store.shards)} shards")
            for name in store.datasets:
                unit = f" [{store.unit(name)}]" if store.unit(name) else ""
                print(f"  {name}{unit}: {store.description(name)}")
            complaints = store.complaints() if "--check" in words else []
        except StoreError as error:
            complaints = [str(error)]
        for complaint in complaints:
            print(complaint, file=sys.stderr)
        wrong += len(complaints)
    return 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
