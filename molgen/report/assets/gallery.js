// The gallery: cards with drawings, sorting, filtering, selection, download, and one 3Dmol.js viewer for the current molecule.
"use strict";
(() => {
  const molecules = JSON.parse(document.getElementById("molecules").textContent);
  const byId = (id) => document.getElementById(id);
  const PAGE = 60;
  const STYLES = {
    ball: { stick: { radius: 0.15, doubleBondScaling: 0.5, tripleBondScaling: 0.42 }, sphere: { scale: 0.24 } },
    stick: { stick: { radius: 0.18, doubleBondScaling: 0.45, tripleBondScaling: 0.38 } },
    sphere: { sphere: {} },
  };
  const selected = new Set();
  let shown = [], pages = 1, ascending = true, current = null, viewer = null, spinning = false, numbered = false;

  const failures = (molecule) => Object.entries(molecule.passed).filter(([check, passed]) => !passed).map(([check]) => check);
  const numeric = [...new Set(molecules.flatMap((m) => Object.keys(m.values).filter((name) => typeof m.values[name] === "number")))];

  function options() {
    for (const name of ["record", ...numeric.sort()]) {
      byId("sort").append(new Option(name.replaceAll("_", " "), name));
    }
  }

  function order() {
    const name = byId("sort").value, filter = byId("filter").value, find = byId("find").value.trim();
    const value = (m) => (name === "record" ? m.number : m.values[name]);
    const matches = (m) =>
      (filter === "all" || (filter === "failed") === failures(m).length > 0) &&
      (!find || m.smiles.includes(find) || m.title.includes(find));
    shown = molecules.filter(matches);
    const known = (m) => typeof value(m) === "number";
    // molecules without the property come last either way
    shown.sort((a, b) => known(b) - known(a) || (known(a) ? (ascending ? value(a) - value(b) : value(b) - value(a)) : 0) || a.number - b.number);
    pages = 1;
    draw();
  }

  function text(tag, content, kind) {
    const element = document.createElement(tag);
    element.textContent = content;
    if (kind) element.className = kind;
    return element;
  }

  function card(molecule) {
    const element = document.createElement("div");
    element.className = "card";
    element.tabIndex = 0;
    element.dataset.number = molecule.number;
    element.innerHTML = molecule.svg; // drawn by RDKit when the page was written
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = selected.has(molecule.number);
    box.setAttribute("aria-label", `select record ${molecule.number}`);
    box.addEventListener("click", (event) => event.stopPropagation());
    box.addEventListener("change", () => {
      box.checked ? selected.add(molecule.number) : selected.delete(molecule.number);
      count();
    });
    const line = document.createElement("div");
    line.className = "line";
    const name = byId("sort").value;
    const value = molecule.values[name];
    line.append(text("span", molecule.title || `record ${molecule.number}`));
    if (name !== "record") line.append(text("b", typeof value === "number" ? String(+value.toPrecision(4)) : "–"));
    element.append(box, line);
    const failed = failures(molecule);
    if (failed.length) element.append(text("div", "fails " + failed.join(", "), "fails"));
    element.addEventListener("click", () => show(molecule));
    element.addEventListener("keydown", (event) => event.key === "Enter" && show(molecule));
    return element;
  }

  function draw() {
    byId("cards").replaceChildren(...shown.slice(0, pages * PAGE).map(card));
    byId("more").hidden = pages * PAGE >= shown.length;
    mark();
    count();
  }

  function count() {
    byId("count").textContent = `${shown.length} of ${molecules.length}, ${selected.size} selected`;
    byId("download").textContent = selected.size ? `download ${selected.size} as SDF` : `download ${shown.length} shown as SDF`;
  }

  function mark() {
    for (const element of byId("cards").children) {
      element.classList.toggle("current", current !== null && +element.dataset.number === current.number);
    }
  }

  function show(molecule) {
    current = molecule;
    mark();
    byId("name").textContent = [`record ${molecule.number}`, molecule.title].filter(Boolean).join(": ");
    byId("smiles").textContent = molecule.smiles;
    byId("why").replaceChildren(...Object.entries(molecule.reasons).map(([check, reason]) => text("div", `${check}: ${reason}`)));
    const rows = Object.entries(molecule.values).map(([name, value]) => {
      const row = document.createElement("tr");
      row.append(text("th", name.replaceAll("_", " ")), text("td", String(value)));
      return row;
    });
    byId("details").tBodies[0].replaceChildren(...rows);
    if (!viewer) return;
    viewer.removeAllModels();
    viewer.addModel(molecule.sdf, "sdf", { keepH: true });
    style();
    viewer.zoomTo();
    viewer.render();
  }

  function style() {
    if (!viewer || !current) return;
    viewer.removeAllLabels();
    viewer.setStyle({}, STYLES[byId("style").value]);
    if (numbered) {
      for (const atom of viewer.selectedAtoms({})) {
        viewer.addLabel(String(atom.index + 1), { position: atom, fontSize: 11, backgroundOpacity: 0.55, inFront: true });
      }
    }
    viewer.render();
  }

  function toggle(id, on) {
    byId(id).setAttribute("aria-pressed", String(on));
  }

  function download() {
    const chosen = selected.size ? molecules.filter((m) => selected.has(m.number)) : shown;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(chosen.map((m) => m.sdf), { type: "chemical/x-mdl-sdfile" }));
    link.download = "selected.sdf";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function walk(step) {
    const place = shown.indexOf(current) + step;
    if (place < 0 || place >= shown.length) return;
    if (place >= pages * PAGE) { pages += 1; draw(); }
    show(shown[place]);
    byId("cards").children[place]?.scrollIntoView({ block: "nearest" });
  }

  byId("sort").addEventListener("change", order);
  byId("filter").addEventListener("change", order);
  byId("find").addEventListener("input", order);
  byId("direction").addEventListener("click", () => {
    ascending = !ascending;
    byId("direction").textContent = ascending ? "ascending" : "descending";
    order();
  });
  byId("more").addEventListener("click", () => { pages += 1; draw(); });
  byId("select-all").addEventListener("click", () => { shown.forEach((m) => selected.add(m.number)); draw(); });
  byId("select-none").addEventListener("click", () => { selected.clear(); draw(); });
  byId("download").addEventListener("click", download);
  byId("style").addEventListener("change", style);
  byId("spin").addEventListener("click", () => {
    spinning = !spinning;
    toggle("spin", spinning);
    viewer?.spin(spinning ? "y" : false);
  });
  byId("labels").addEventListener("click", () => { numbered = !numbered; toggle("labels", numbered); style(); });
  document.addEventListener("keydown", (event) => {
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && current) { event.preventDefault(); walk(step); }
  });

  try {
    viewer = $3Dmol.createViewer(byId("viewer"), { backgroundColor: "white", antialias: true });
  } catch (error) {
    viewer = null;
  }
  if (!viewer) byId("viewer").textContent = "This browser has no WebGL: drawings only.";
  options();
  order();
  if (shown.length) show(shown[0]);
  window.molgenGallery = { get viewer() { return viewer; }, get current() { return current; }, get shown() { return shown; } };
})();
