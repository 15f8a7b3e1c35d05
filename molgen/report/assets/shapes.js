"use strict";
(() => {
  const data = JSON.parse(document.getElementById("shapes").textContent);
  const holder = document.getElementById("clouds");
  const SIZE = 190;
  const state = { turn: 0.6, lift: 0.35, zoom: 1, running: true };
  const bytes = (text) => Int8Array.from(atob(text), (c) => c.charCodeAt(0));
  // columns of right, depth, up for each up axis: a rotation, never a mirror image
  const AXES = { z: [0, 1, 2], y: [2, 0, 1], x: [1, 2, 0] }[data.up];

  const tiles = data.shapes.map((shape, index) => {
    const card = document.createElement("figure");
    card.className = "shape";
    const canvases = ["cloud", "reference"].map((kind) => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = SIZE * 2;
      canvas.dataset.kind = kind;
      card.append(canvas);
      return { context: canvas.getContext("2d"), points: bytes(shape[kind]), colour: kind === "cloud" ? [40, 110, 180] : [110, 116, 124] };
    });
    const caption = document.createElement("figcaption");
    caption.textContent = `${shape.name} · ${shape.distance} · ${shape.near}`;
    caption.title = caption.textContent;
    card.append(caption);
    return { card, canvases, index, distance: shape.distance, seen: false };
  });

  const draw = ({ context, points, colour }) => {
    const side = SIZE * 2, image = context.createImageData(side, side), depth = new Float32Array(side * side).fill(-9);
    const c = Math.cos(state.turn), s = Math.sin(state.turn), k = Math.cos(state.lift), l = Math.sin(state.lift);
    const scale = (0.47 * side * state.zoom) / 127;
    for (let i = 0; i < points.length; i += 3) {
      const x = points[i + AXES[0]], y = points[i + AXES[1]], z = points[i + AXES[2]];
      const right = c * x + s * y, away = -s * x + c * y;
      const up = k * z + l * away, near = (l * z - k * away) / 127;
      const px = Math.round(side / 2 + scale * right), py = Math.round(side / 2 - scale * up);
      const shade = 0.62 - 0.38 * near;
      for (let dy = -2; dy <= 2; dy++) for (let dx = -2; dx <= 2; dx++) {
        if (dx * dx + dy * dy > 5) continue;
        const u = px + dx, v = py + dy;
        if (u < 0 || v < 0 || u >= side || v >= side) continue;
        const at = v * side + u;
        if (near <= depth[at]) continue;
        depth[at] = near;
        for (let channel = 0; channel < 3; channel++) image.data[4 * at + channel] = colour[channel] + (255 - colour[channel]) * Math.max(0, Math.min(0.8, shade));
        image.data[4 * at + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
  };
  const paint = () => tiles.forEach((tile) => { if (tile.seen) tile.canvases.forEach(draw); });

  const watcher = new IntersectionObserver((changes) => {
    changes.forEach((change) => { tiles[Number(change.target.dataset.index)].seen = change.isIntersecting; });
    paint();
  }, { rootMargin: "80px" });
  tiles.forEach((tile) => { tile.card.dataset.index = tile.index; watcher.observe(tile.card); });

  const order = document.getElementById("order");
  const arrange = () => {
    const sign = { near: 1, far: -1 }[order.value] || 0;
    const sorted = [...tiles].sort((a, b) => sign * (a.distance - b.distance) || a.index - b.index);
    holder.replaceChildren(...sorted.map((tile) => tile.card));
    document.getElementById("count").textContent = `${tiles.length} shown`;
  };
  order.addEventListener("change", arrange);
  const button = document.getElementById("turn");
  button.addEventListener("click", () => { state.running = !state.running; button.setAttribute("aria-pressed", String(state.running)); });
  let held = null;
  holder.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; holder.setPointerCapture(event.pointerId); event.preventDefault(); });
  holder.addEventListener("pointermove", (event) => {
    if (!held) return;
    state.turn += (event.clientX - held[0]) / 90;
    state.lift = Math.max(-1.5, Math.min(1.5, state.lift + (event.clientY - held[1]) / 90));
    held = [event.clientX, event.clientY];
    paint();
  });
  ["pointerup", "pointercancel"].forEach((name) => holder.addEventListener(name, () => { held = null; }));
  holder.addEventListener("wheel", (event) => {
    if (event.target.tagName !== "CANVAS") return;
    event.preventDefault();
    state.zoom = Math.max(0.5, Math.min(4, state.zoom * Math.exp(-event.deltaY / 600)));
    paint();
  }, { passive: false });
  let last = 0;
  const step = (now) => {
    if (state.running && !held && now - last > 45) { state.turn += 0.00045 * Math.min(now - last, 200); last = now; paint(); }
    requestAnimationFrame(step);
  };
  arrange();
  requestAnimationFrame(step);
})();
