// What the pages of `outsole report` do beyond showing: sort and filter the list, lay the mark on a candidate, keep
// notes. Without it all is still there to be read; of a long list the later pictures are then on the marks' pages only.
// No address but files of the page's own folder is ever asked for.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- What this browser keeps: {notes, reviewed} of each mark ------------------------------------------------------

  const keysBegin = `outsole.${document.body.dataset.report}.`;
  const keyOf = (mark) => keysBegin + mark;
  const keptMarks = () => {
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(keysBegin)).map((key) => key.slice(keysBegin.length));
    } catch { return []; }
  };
  const kept = (mark) => {
    try {
      const value = JSON.parse(localStorage.getItem(keyOf(mark)));
      return { notes: String(value?.notes ?? ""), reviewed: Array.isArray(value?.reviewed) ? value.reviewed : [] };
    } catch { return { notes: "", reviewed: [] }; }
  };
  const keep = (mark, value) => {
    try { localStorage.setItem(keyOf(mark), JSON.stringify(value)); } catch { /* the page still works */ }
  };
  const saveAs = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const textOf = (id, { notes, reviewed }) =>
    `Mark ${id}\nCandidates reviewed: ${reviewed.length ? reviewed.join(", ") : "none"}\n${notes.trim()}\n`;
  const heading = () => `Notes of outsole report ${document.body.dataset.report}\nSaved ${new Date().toISOString()}\n\n`;

  // --- The list of marks ---------------------------------------------------------------------------------------------

  const startList = () => {
    const body = one("#table tbody");
    const rows = all("tr", body);

    // Pictures of rows as they come into view; of all for print.
    const addPictures = (row) => {
      for (const place of all("[data-src]", row)) {
        const picture = new Image();
        picture.alt = "";
        picture.src = place.dataset.src;
        place.removeAttribute("data-src");
        place.append(picture);
      }
    };
    const nearView = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        nearView.unobserve(target);
        addPictures(target);
      }
    }, { rootMargin: "100% 0px" });
    for (const row of new Set(all("[data-src]", body).map((place) => place.closest("tr")))) nearView.observe(row);
    addEventListener("beforeprint", () => rows.forEach(addPictures));

    // What is kept of the rows that anything is kept of.
    const state = new Map();
    const nothing = { notes: "", reviewed: [] };
    const stateOf = (row) => state.get(row) ?? nothing;
    const rowOf = new Map(rows.map((row) => [row.dataset.mark, row]));
    const readKept = () => {
      const touched = new Set(state.keys());
      state.clear();
      for (const mark of keptMarks()) {
        const row = rowOf.get(mark);
        if (row) { state.set(row, kept(mark)); touched.add(row); }
      }
      for (const row of touched) {
        const { notes, reviewed } = stateOf(row), cell = one(".review", row);
        cell.textContent = `${reviewed.length} of ${cell.textContent.match(/ of (\d+)/)[1]}` + (notes.trim() ? " ✎ notes" : "");
      }
    };

    const passes = {
      all: () => true,
      unread: (row) => stateOf(row).reviewed.length === 0,
      noted: (row) => stateOf(row).notes.trim() !== "",
      lacking: (row) => "lacks" in row.dataset,
      first: (row) => row.dataset.true === "first",
      missed: (row) => row.dataset.true === "missed",
    };
    const texts = new Map();
    const textOfRow = (row) => {
      if (!texts.has(row)) texts.set(row, (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase());
      return texts.get(row);
    };
    const filter = () => {
      const words = one("#find").value.toLowerCase().split(/\s+/).filter(Boolean);
      const pass = passes[one("#show").value];
      let shown = 0;
      for (const row of rows) {
        const isShown = pass(row) && words.every((word) => textOfRow(row).includes(word));
        if (row.hidden === isShown) row.hidden = !isShown;
        shown += isShown ? 1 : 0;
      }
      one("#count").textContent = shown === rows.length ? `${shown} marks` : `${shown} of ${rows.length} marks`;
      one("#none").hidden = shown > 0;
    };

    const sortBy = (header, direction) => {
      for (const other of all("#table th[aria-sort]")) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", direction);
      const column = header.cellIndex, sign = direction === "ascending" ? 1 : -1;
      const isNumber = header.dataset.sort === "number";
      const valueOf = (row) => {
        const cell = row.cells[column], value = column === 0 ? row.dataset.mark : cell.dataset.value ?? cell.textContent;
        return isNumber ? (value === "" || Number.isNaN(Number(value)) ? null : Number(value)) : value;
      };
      const values = new Map(rows.map((row) => [row, valueOf(row)]));
      const collator = new Intl.Collator("en", { numeric: true });
      rows.sort((a, b) => {
        const x = values.get(a), y = values.get(b);
        if (x === null || y === null) return (x === null) - (y === null);  // what is not known stands last
        const order = isNumber ? x - y : collator.compare(x, y);
        return sign * order || a.dataset.mark - b.dataset.mark;
      });
      body.append(...rows);
    };
    for (const header of all("#table th[data-sort]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      const startsDown = header.dataset.sort === "number" && header.cellIndex > 0;
      button.addEventListener("click", () => {
        const now = header.getAttribute("aria-sort");
        sortBy(header, now === "none" ? (startsDown ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending");
      });
    }
    one("#find").addEventListener("input", filter);
    one("#show").addEventListener("change", filter);
    one(".filters").addEventListener("submit", (event) => event.preventDefault());
    one("#save-notes").addEventListener("click", () => {
      const noted = [...state.keys()].filter((row) => stateOf(row).notes.trim() || stateOf(row).reviewed.length);
      noted.sort((a, b) => a.dataset.mark - b.dataset.mark);
      const parts = noted.map((row) => textOf(one("th a", row).lastElementChild.textContent, stateOf(row)));
      saveAs("notes.txt", heading() + (parts.join("\n") || "No notes.\n"));
    });
    const refresh = () => {
      readKept();
      if (one("#find").value || one("#show").value !== "all" || rows.some((row) => row.hidden)) filter();
    };
    addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
      event.preventDefault();
      one("#find").focus();
    });
    refresh();
  };

  // --- A mark ---------------------------------------------------------------------------------------------------------

  const startMark = () => {
    const mark = document.body.dataset.mark;
    const rows = all("#candidates tbody tr");
    const stages = one("#stages");
    let chosen = rows[0];

    // What of the exemplar's frame is seen: the middle, in pixels of the exemplar, and pixels of the exemplar a pixel.
    const view = { x: 0, y: 0, zoom: 1 };
    const frame = () => ({ width: Number(chosen.dataset.width), height: Number(chosen.dataset.height) });
    const fitting = () => {
      const box = one("#stage").getBoundingClientRect();
      if (!box.width || !box.height) return 1;
      return Math.min(box.width / frame().width, box.height / frame().height);
    };
    const show = () => {
      const box = one("#stage").getBoundingClientRect();
      if (!box.width || !box.height) return;
      const scale = fitting() * view.zoom, width = box.width / scale, height = box.height / scale;
      for (const stage of all(".stage")) stage.setAttribute("viewBox", [view.x - width / 2, view.y - height / 2, width, height].join(" "));
      one("#zoom-level").textContent = `${Math.round(100 * scale * devicePixelRatio)}%`;
    };
    const fit = () => { Object.assign(view, { x: frame().width / 2, y: frame().height / 2, zoom: 1 }); show(); };
    const zoomBy = (factor, at) => {
      const before = fitting() * view.zoom;
      view.zoom = Math.min(64, Math.max(0.5, view.zoom * factor));
      const after = fitting() * view.zoom;
      if (at) {  // what is under the pointer stays there
        view.x += at.x / before - at.x / after;
        view.y += at.y / before - at.y / after;
      }
      show();
    };
    const moveBy = (x, y) => { const scale = fitting() * view.zoom; view.x += x / scale; view.y += y / scale; show(); };

    const choose = (row) => {
      if (!row) return;
      const was = frame();
      chosen = row;
      for (const other of rows) {
        other.classList.toggle("chosen", other === row);
        one(".choose", other).setAttribute("aria-pressed", other === row);
      }
      const { rank, id } = row.dataset;
      for (const detail of all(".detail")) detail.classList.toggle("chosen", detail.id === `detail-${rank}`);
      for (const tick of all(".ticks path")) tick.classList.toggle("chosen", tick.id === `tick-${rank}`);
      if (!stages) return;
      one("#chosen-name").textContent = `candidate ${rank}: ${id}`;
      for (const paper of all(".paper")) { paper.setAttribute("width", row.dataset.width); paper.setAttribute("height", row.dataset.height); }
      const exemplar = one(".exemplar");
      if (row.dataset.exemplar) exemplar.setAttribute("href", row.dataset.exemplar); else exemplar.removeAttribute("href");
      exemplar.setAttribute("width", row.dataset.width);
      exemplar.setAttribute("height", row.dataset.height);
      for (const pose of all(".pose")) pose.setAttribute("transform", row.dataset.matrix);
      for (const support of all(".support")) {
        support.setAttribute("transform", row.dataset.supportMatrix);
        one("path", support).setAttribute("d", row.dataset.support);
      }
      if (was.width !== frame().width || was.height !== frame().height) fit(); else show();
    };
    const step = (by) => {
      const seen = rows.filter((row) => !row.hidden);
      choose(seen[Math.min(seen.length - 1, Math.max(0, seen.indexOf(chosen) + by))]);
    };

    for (const row of rows) {
      row.addEventListener("click", (event) => { if (!event.target.matches(".reviewed")) choose(row); });
    }
    one("#one-a-tread")?.addEventListener("change", (event) => {
      for (const row of rows) row.hidden = event.target.checked && "same" in row.dataset;
      if (chosen.hidden) choose(rows[0]);
    });

    if (stages && chosen) {
      let timer = 0;
      const setView = (name) => {
        one(`input[name=view][value=${name}]`).checked = true;
        stages.classList.remove("overlay", "flicker", "beside", "other");
        stages.classList.add(name);
        clearInterval(timer);
        const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
        if (name === "flicker" && !isStill) timer = setInterval(() => stages.classList.toggle("other"), 600);
        show();
      };
      for (const input of all("input[name=view]")) input.addEventListener("change", () => setView(input.value));
      const setOpacity = () => { const ink = one(".ink"); if (ink) ink.style.opacity = one("#opacity").value / 100; };
      one("#opacity").addEventListener("input", setOpacity);
      const toggle = (box, name) => {
        const set = () => stages.classList.toggle(name, !box.checked);
        box.addEventListener("change", set);
        set();
      };
      toggle(one("#show-support"), "no-support");
      toggle(one("#show-frame"), "no-frame");
      one("#zoom-in").addEventListener("click", () => zoomBy(1.25));
      one("#zoom-out").addEventListener("click", () => zoomBy(0.8));
      one("#zoom-all").addEventListener("click", fit);
      one("#zoom-full").addEventListener("click", () => zoomBy(1 / (fitting() * view.zoom * devicePixelRatio)));
      stages.addEventListener("wheel", (event) => {
        event.preventDefault();
        const box = (event.target.closest(".stage") ?? one("#stage")).getBoundingClientRect();
        zoomBy(Math.exp(-event.deltaY / 400), { x: event.clientX - box.x - box.width / 2, y: event.clientY - box.y - box.height / 2 });
      }, { passive: false });
      stages.addEventListener("pointerdown", (event) => { stages.setPointerCapture(event.pointerId); stages.classList.add("dragging"); });
      stages.addEventListener("pointermove", (event) => { if (stages.classList.contains("dragging")) moveBy(-event.movementX, -event.movementY); });
      for (const end of ["pointerup", "pointercancel"]) stages.addEventListener(end, () => stages.classList.remove("dragging"));
      addEventListener("resize", show);

      const keys = {
        o: () => setView("overlay"), f: () => setView("flicker"), s: () => setView("beside"),
        "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), "0": fit,
      };
      const keysOfStage = {
        ArrowLeft: () => moveBy(-40, 0), ArrowRight: () => moveBy(40, 0), ArrowUp: () => moveBy(0, -40), ArrowDown: () => moveBy(0, 40),
        " ": () => { setView("flicker"); clearInterval(timer); stages.classList.toggle("other", stages.dataset.other !== "1"); stages.dataset.other = stages.classList.contains("other") ? "1" : ""; },
      };
      document.addEventListener("keydown", (event) => {
        if (isTyping(event)) return;
        const isFree = event.target === stages || event.target === document.body;
        const act = keys[event.key] ?? (isFree ? keysOfStage[event.key] : undefined);
        if (act) { event.preventDefault(); act(); }
      });
      setOpacity();
      fit();
    }

    // Keys that need no pictures.
    const isTyping = (event) => event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea, input[type=search], input[type=range], select");
    const follow = (rel) => { const link = one(`nav a[rel=${rel}]`); if (link) location.href = link.href; };
    const keysOfAll = {
      j: () => step(1), k: () => step(-1), n: () => follow("next"), p: () => follow("prev"),
      r: () => { const box = one(".reviewed", chosen); box.checked = !box.checked; save(); },
    };
    document.addEventListener("keydown", (event) => {
      if (isTyping(event) || !chosen || !(event.key in keysOfAll)) return;
      event.preventDefault();
      keysOfAll[event.key]();
    });

    // Notes and review.
    const notes = one("#notes");
    const current = () => ({ notes: notes.value, reviewed: rows.filter((row) => one(".reviewed", row).checked).map((row) => Number(row.dataset.rank)) });
    const save = () => {
      keep(mark, current());
      const { reviewed } = current();
      one("#printed-notes").textContent = (reviewed.length ? `Candidates reviewed: ${reviewed.join(", ")}\n` : "") + notes.value;
    };
    const before = kept(mark);
    notes.value = before.notes;
    for (const row of rows) one(".reviewed", row).checked = before.reviewed.includes(Number(row.dataset.rank));
    notes.addEventListener("input", save);
    for (const box of all(".reviewed")) box.addEventListener("change", save);
    one("#save-notes").addEventListener("click", () => saveAs(`notes-${mark}.txt`, heading() + textOf(document.body.dataset.id, current())));
    one("#print").addEventListener("click", () => print());
    if (before.notes || before.reviewed.length) save();
  };

  if (document.body.classList.contains("list")) startList(); else startMark();
})();
