"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const at = (id) => document.getElementById(id);
  const points = at("points");
  const width = 800, height = 600, margin = 30;
  let view = [0, 0, width, height];
  const circles = [];

  function made(parent, kind, attributes, text) {
    const node = parent.namespaceURI === SVG ? document.createElementNS(SVG, kind) : document.createElement(kind);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  function show(box) {
    view = box;
    points.setAttribute("viewBox", box.join(" "));
    const radius = 7 * box[2] / width;
    for (const circle of circles) circle.setAttribute("r", circle.classList.contains("chosen") ? radius * 1.5 : radius);
  }

  function coloured() {
    const colouring = data.colourings[at("colour").value];
    circles.forEach((circle, place) => circle.setAttribute("fill", colouring.colours[colouring.of[place]]));
    const legend = at("legend");
    legend.replaceChildren();
    colouring.labels.forEach((label, number) => {
      const line = made(legend, "li", {});
      made(line, "i", {}).style.background = colouring.colours[number];
      line.append(`${label} (${colouring.of.filter((each) => each === number).length})`);
    });
  }

  function found() {
    const wanted = at("find").value.trim().toLowerCase();
    circles.forEach((circle, place) => {
      const text = [data.names[place], ...data.facts[place]].join(" ").toLowerCase();
      circle.classList.toggle("faint", wanted !== "" && !text.includes(wanted));
    });
  }

  function drawPlate(place) {
    const plate = at("plate"), spot = data.positions[place];
    plate.replaceChildren();
    plate.toggleAttribute("hidden", spot === null);
    if (spot === null) return;
    const [row, column, rows, columns] = spot, step = 200 / columns;
    plate.setAttribute("viewBox", `0 0 200 ${rows * step + 16}`);
    plate.setAttribute("aria-label", `${data.names[place]}: row ${row + 1} of ${rows}, column ${column + 1} of ${columns}`);
    for (let y = 0; y < rows; y += 1) for (let x = 0; x < columns; x += 1) {
      const here = y === row && x === column;
      made(plate, "rect", { x: x * step + 1, y: y * step + 1, width: step - 2, height: step - 2, rx: step / 4, class: here ? "here" : "" });
    }
    made(plate, "text", { x: 0, y: rows * step + 12 }, `${rows} × ${columns} wells`);
  }

  function drawScale() {
    const strip = at("strip"), shown = strip.getBoundingClientRect().width;
    at("scale").toggleAttribute("hidden", data.scale === null);
    if (data.scale === null || !strip.naturalWidth) return;
    at("length").style.width = `${data.scale.pixels * shown / strip.naturalWidth}px`;
    at("unit").textContent = `${data.scale.um} µm`;
  }

  function choose(place) {
    circles.forEach((circle, number) => circle.classList.toggle("chosen", number === place));
    const focused = document.activeElement === circles[place];
    points.append(circles[place]);  // above the others
    if (focused) circles[place].focus();
    show(view);
    at("hint").hidden = true;
    at("chosen").hidden = false;
    at("name").textContent = data.names[place];
    const facts = at("facts");
    facts.replaceChildren();
    data.columns.forEach((name, number) => {
      const line = made(facts, "div", {});
      made(line, "dt", {}, name);
      made(line, "dd", {}, data.facts[place][number]);
    });
    drawPlate(place);
    const strip = at("strip");
    strip.onload = drawScale;
    strip.alt = `${data.shown[place]} cells of ${data.names[place]}: ${data.rows.join(", ")}`;
    strip.src = data.strips[place];
    const near = at("near");
    near.replaceChildren();
    data.nearest[place].forEach(([other, distance]) => {
      const button = made(made(near, "li", {}), "button", { type: "button" }, `${data.names[other]} – ${data.facts[other][0]} (${distance})`);
      button.addEventListener("click", () => choose(other));
    });
    location.replace(`#${place}`);
  }

  data.points.forEach(([x, y], place) => {
    const circle = made(points, "circle", {
      cx: margin + x * (width - 2 * margin), cy: height - margin - y * (height - 2 * margin),
      tabindex: 0, role: "button", "aria-label": `${data.names[place]}, ${data.facts[place][0]}`, "data-place": place,
    });
    made(circle, "title", {}, `${data.names[place]} – ${data.facts[place][0]}`);
    circle.addEventListener("click", () => choose(place));
    circle.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") choose(place); });
    circles.push(circle);
  });
  for (const row of data.rows) made(at("rows"), "span", {}, row);
  for (const name of Object.keys(data.colourings)) made(at("colour"), "option", {}, name);

  function place(event) {
    const box = points.getBoundingClientRect();
    return [view[0] + (event.clientX - box.left) / box.width * view[2], view[1] + (event.clientY - box.top) / box.height * view[3]];
  }
  points.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = place(event), factor = Math.min(1, Math.max(0.02, view[2] / width * (event.deltaY < 0 ? 0.8 : 1.25))) * width / view[2];
    show([x - (x - view[0]) * factor, y - (y - view[1]) * factor, view[2] * factor, view[3] * factor]);
  }, { passive: false });
  let held = null;
  points.addEventListener("pointerdown", (event) => { if (event.target === points) { held = place(event); points.setPointerCapture(event.pointerId); } });
  points.addEventListener("pointermove", (event) => {
    if (held === null) return;
    const [x, y] = place(event);
    show([view[0] + held[0] - x, view[1] + held[1] - y, view[2], view[3]]);
  });
  points.addEventListener("pointerup", () => { held = null; });
  at("colour").addEventListener("change", coloured);
  at("find").addEventListener("input", found);
  at("whole").addEventListener("click", () => show([0, 0, width, height]));
  window.addEventListener("resize", drawScale);
  show(view);
  coloured();
  const asked = Number(location.hash.slice(1));
  if (location.hash.length > 1 && asked in data.points) choose(asked);
})();
