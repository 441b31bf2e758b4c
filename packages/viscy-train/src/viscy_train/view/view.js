// What the page does. Data come from users' files: they are written as text, never as markup.
"use strict";
(() => {
  const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u1: Uint8Array };
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  const FADED = "#e4e7ea";
  const MOST_NAMES = 60, MOST_PATCHES = 24, MOST_OF_TRACK = 18;

  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const count = data.cells;

  function array(packed) {
    const text = atob(packed.bytes);
    const bytes = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
    return new KINDS[packed.kind](bytes.buffer);
  }

  function element(name, text, properties) {
    const made = Object.assign(document.createElement(name), properties || {});
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // ---- the data

  const maps = data.maps.map((one) => {
    const xy = array(one.xy);
    return { name: one.name, x: xy.subarray(0, count), y: xy.subarray(count) };
  });
  const columns = data.columns.map((one) => one.kind === "names"
    ? { ...one, codes: array(one.codes) }
    : { ...one, values: array(one.values) });
  const column = new Map(columns.map((one) => [one.name, one]));
  const track = array(data.track), frame = array(data.frame);
  const elsewhere = array(data.elsewhere), own = array(data.own);
  const lacking = data.pictures ? array(data.pictures.lacking) : null;

  const tracks = new Map();  // code: its cells, in order of time
  for (let cell = 0; cell < count; cell++) {
    if (!tracks.has(track[cell])) tracks.set(track[cell], []);
    tracks.get(track[cell]).push(cell);
  }
  for (const cells of tracks.values()) cells.sort((one, other) => frame[one] - frame[other]);

  // Tables are sorted by experiment, and the last one would be drawn over all others: points are drawn in an
  // order that is mixed, and the same every time.
  const drawn = new Int32Array(count);
  for (let place = 0; place < count; place++) drawn[place] = place;
  let state = 12345;
  for (let place = count - 1; place > 0; place--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 4294967296) * (place + 1));
    [drawn[place], drawn[other]] = [drawn[other], drawn[place]];
  }

  const now = { map: 0, colour: null, only: null, cell: -1, pinned: false, marked: -1, selected: [], channel: "all" };
  const labels = new Map();  // cell: its label

  // ---- values

  function valueOf(one, cell) {
    if (one.kind === "names") return one.codes[cell] < 0 ? "not known" : one.values[one.codes[cell]];
    const value = one.values[cell];
    return Number.isNaN(value) ? "not known" : String(Number(value.toPrecision(Number.isInteger(value) ? 16 : 4)));
  }

  function neighboursOf(table, cell) {
    const found = Array.from(table.subarray(cell * data.neighbours, (cell + 1) * data.neighbours));
    return found.filter((one) => one >= 0);
  }

  function limits(one) {
    const known = Array.from(one.values).filter(Number.isFinite).sort((a, b) => a - b);
    if (!known.length) return [0, 1];
    const at = (share) => known[Math.round(share * (known.length - 1))];
    return at(0.98) > at(0.02) ? [at(0.02), at(0.98)] : [known[0], known[known.length - 1]];
  }

  function scaleColour(share) {
    const place = Math.max(0, Math.min(1, share)) * (VIRIDIS.length - 1);
    const first = Math.min(Math.floor(place), VIRIDIS.length - 2), part = place - first;
    const mixed = [1, 3, 5].map((digit) => {
      const [low, high] = [first, first + 1].map((n) => parseInt(VIRIDIS[n].slice(digit, digit + 2), 16));
      return Math.round(low + (high - low) * part).toString(16).padStart(2, "0");
    });
    return "#" + mixed.join("");
  }

  function colours(one) {
    const made = new Array(count);
    if (one.kind === "names") {
      for (let cell = 0; cell < count; cell++) {
        const code = one.codes[cell];
        const shown = now.only === null || now.only === code;
        made[cell] = !shown ? FADED : code < 0 ? data.unknown : data.palette[code % data.palette.length];
      }
      return made;
    }
    const [low, high] = limits(one);
    const table = Array.from({ length: 65 }, (_, step) => scaleColour(step / 64));
    for (let cell = 0; cell < count; cell++) {
      const share = (one.values[cell] - low) / (high - low || 1);
      made[cell] = Number.isNaN(share) ? data.unknown : table[Math.round(64 * Math.max(0, Math.min(1, share)))];
    }
    return made;
  }

  // ---- the map

  const plot = byId("map"), over = byId("over");

  function hasWebGL() {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }

  function ordered(values) {
    return Array.from(drawn, (cell) => values[cell]);
  }

  function pointSize() {
    return Math.max(3, Math.min(9, 420 / Math.sqrt(count)));
  }

  function axis() {
    return { showgrid: false, zeroline: false, showticklabels: false, ticks: "", showline: true, mirror: true, linecolor: "#d9dee3" };
  }

  async function drawMap() {
    const trace = {
      type: hasWebGL() ? "scattergl" : "scatter",
      mode: "markers",
      x: ordered(maps[now.map].x),
      y: ordered(maps[now.map].y),
      hoverinfo: "none",
      marker: { size: pointSize(), color: ordered(colours(now.colour)), opacity: 0.85, line: { width: 0 } },
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: 0.18 } },
    };
    const layout = {
      margin: { l: 4, r: 4, t: 4, b: 4 },
      dragmode: "pan",
      hovermode: "closest",
      hoverdistance: 12,
      showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      xaxis: axis(),
      yaxis: axis(),
      newselection: { line: { color: "#1b1f24", width: 1.5, dash: "dot" } },
    };
    const options = { responsive: true, scrollZoom: true, displayModeBar: false, doubleClick: "reset" };
    await Plotly.newPlot(plot, [trace], layout, options);
    plot.on("plotly_hover", (event) => point(drawn[event.points[0].pointNumber]));
    plot.on("plotly_click", (event) => pin(drawn[event.points[0].pointNumber]));
    plot.on("plotly_selected", (event) => {
      // an event without points is what a double click sends, which ends a selection
      select(event && event.points ? event.points.map((one) => drawn[one.pointNumber]) : []);
    });
    plot.on("plotly_deselect", () => select([]));
    for (const name of ["plotly_relayout", "plotly_relayouting", "plotly_afterplot"]) plot.on(name, drawOver);
    document.body.dataset.ready = "yes";
  }

  function recolour() {
    Plotly.restyle(plot, { "marker.color": [ordered(colours(now.colour))] }, [0]);
  }

  function moveTo(place) {
    now.map = place;
    select([]);
    Plotly.update(
      plot,
      { x: [ordered(maps[place].x)], y: [ordered(maps[place].y)], selectedpoints: [null] },
      { selections: [], "xaxis.autorange": true, "yaxis.autorange": true },
      [0],
    );
  }

  function setMode(mode) {
    Plotly.relayout(plot, { dragmode: mode });
    showMode(mode);
  }

  function showMode(mode) {
    byId("mode-pan").classList.toggle("on", mode === "pan");
    byId("mode-lasso").classList.toggle("on", mode === "lasso");
  }

  // The track and the rings lie on a canvas of their own: to draw all points again takes too long to follow a
  // pointer.
  function drawOver() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = over;
    over.width = width * ratio;
    over.height = height * ratio;
    const pen = over.getContext("2d");
    pen.scale(ratio, ratio);
    if (!plot._fullLayout) return;
    const { xaxis, yaxis } = plot._fullLayout;
    pen.beginPath();
    pen.rect(xaxis._offset, yaxis._offset, xaxis._length, yaxis._length);
    pen.clip();
    const at = (cell) => [
      xaxis._offset + xaxis.l2p(maps[now.map].x[cell]),
      yaxis._offset + yaxis.l2p(maps[now.map].y[cell]),
    ];
    const ring = (cell, radius, style, width) => {
      pen.beginPath();
      pen.arc(...at(cell), radius, 0, 2 * Math.PI);
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.stroke();
    };
    if (now.cell >= 0) {
      const cells = tracks.get(track[now.cell]);
      for (const [style, wide] of [["#ffffff", 4], ["#1b1f24", 1.6]]) {
        pen.beginPath();
        cells.forEach((cell, place) => (place ? pen.lineTo(...at(cell)) : pen.moveTo(...at(cell))));
        pen.strokeStyle = style;
        pen.lineWidth = wide;
        pen.stroke();
      }
      cells.forEach((cell, place) => {
        pen.beginPath();
        pen.arc(...at(cell), 3, 0, 2 * Math.PI);
        pen.fillStyle = scaleColour(cells.length > 1 ? place / (cells.length - 1) : 0);
        pen.fill();
        pen.strokeStyle = "#1b1f24";
        pen.lineWidth = 0.8;
        pen.stroke();
      });
      for (const cell of neighboursOf(elsewhere, now.cell)) ring(cell, 7, "#c2410c", 2);
      for (const cell of neighboursOf(own, now.cell)) ring(cell, 7, "#0a6aa8", 1.2);
      ring(now.cell, 9, "#1b1f24", 2.5);
    }
    if (now.marked >= 0) ring(now.marked, 11, "#c2410c", 3);
  }

  // ---- patches

  const loading = new Map();

  function sheet(channel, number) {
    const key = `${channel}-${number}`;
    if (!loading.has(key)) {
      const image = new Image();
      image.src = "data:image/jpeg;base64," + byId(`sheet-${key}`).textContent;
      loading.set(key, image.decode().then(() => image));
    }
    return loading.get(key);
  }

  async function drawPatch(canvas, cell) {
    const { side, tiles, channels } = data.pictures;
    const per = tiles * tiles, number = Math.floor(cell / per), tile = cell % per;
    const [left, top] = [(tile % tiles) * side, Math.floor(tile / tiles) * side];
    const wanted = now.channel === "all" ? channels.map((_, place) => place) : [Number(now.channel)];
    const images = await Promise.all(wanted.map((channel) => sheet(channel, number)));
    canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#000000";
    pen.fillRect(0, 0, side, side);
    pen.globalCompositeOperation = "lighter";
    images.forEach((image, place) => {
      if (images.length === 1) {
        pen.drawImage(image, left, top, side, side, 0, 0, side, side);
        return;
      }
      const layer = document.createElement("canvas");
      layer.width = layer.height = side;
      const tinted = layer.getContext("2d");
      tinted.drawImage(image, left, top, side, side, 0, 0, side, side);
      tinted.globalCompositeOperation = "multiply";
      tinted.fillStyle = data.tints[wanted[place] % data.tints.length];
      tinted.fillRect(0, 0, side, side);
      pen.drawImage(layer, 0, 0);
    });
    canvas.dataset.drawn = String(cell);
  }

  function caption(cell, names) {
    const shown = names.filter((name) => column.has(name)).map((name) => valueOf(column.get(name), cell));
    return shown.filter((text) => text !== "not known").join(" · ");
  }

  function figure(cell, text) {
    const made = element("figure", undefined, { title: caption(cell, data.captions) });
    made.dataset.cell = String(cell);
    if (data.pictures) {
      const canvas = element("canvas");
      if (lacking[cell]) canvas.title = "could not be read";
      made.append(canvas);
      drawPatch(canvas, cell);
    }
    made.append(element("figcaption", text));
    made.addEventListener("click", () => pin(cell));
    made.addEventListener("mouseenter", () => { now.marked = cell; drawOver(); });
    made.addEventListener("mouseleave", () => { now.marked = -1; drawOver(); });
    return made;
  }

  function strip(id, cells, told) {
    byId(id).replaceChildren(...cells.map((cell) => figure(cell, told(cell))));
  }

  function spread(cells, most) {
    if (cells.length <= most) return cells;
    return Array.from({ length: most }, (_, step) => cells[Math.round((step * (cells.length - 1)) / (most - 1))]);
  }

  // ---- one cell

  function point(cell) {
    if (!now.pinned && cell !== now.cell) show(cell);
  }

  function pin(cell) {
    now.pinned = true;
    show(cell);
  }

  function letGo() {
    now.pinned = false;
    now.cell = -1;
    byId("cell-body").hidden = true;
    byId("cell-hint").hidden = false;
    byId("cell-title").textContent = "Point at a cell";
    drawOver();
  }

  function show(cell) {
    now.cell = cell;
    byId("cell").dataset.cell = String(cell);
    byId("cell-hint").hidden = true;
    byId("cell-body").hidden = false;
    byId("cell-title").textContent = caption(cell, data.captions) + (now.pinned ? " (kept; Escape lets it go)" : "");
    if (data.pictures) {
      const canvas = element("canvas");
      byId("cell-patch").replaceChildren(canvas);
      drawPatch(canvas, cell);
    }
    document.querySelector("#cell-facts table").replaceChildren(...columns.map((one) => {
      const row = element("tr");
      row.append(element("td", one.name), element("td", valueOf(one, cell)));
      return row;
    }));
    const whole = tracks.get(track[cell]), some = spread(whole, MOST_OF_TRACK);
    if (!some.includes(cell)) some.splice(some.findIndex((one) => frame[one] > frame[cell]), 1, cell);
    strip("cell-track", some, (one) => `t ${frame[one]}`);
    for (const made of byId("cell-track").children) made.classList.toggle("now", made.dataset.cell === String(cell));
    strip("cell-elsewhere", neighboursOf(elsewhere, cell), (one) => caption(one, data.captions));
    strip("cell-own", neighboursOf(own, cell), (one) => caption(one, data.captions.slice(1)) || `t ${frame[one]}`);
    drawOver();
  }

  // ---- a selection, and labels

  function select(cells, title) {
    now.selected = cells;
    const many = `${cells.length.toLocaleString("en")} ${cells.length === 1 ? "cell" : "cells"}`;
    byId("selection").dataset.cells = String(cells.length);
    byId("selection-title").textContent = title || (cells.length ? `${many} selected` : "No cells selected");
    byId("selection-hint").hidden = cells.length > 0;
    strip("selection-patches", spread(cells, MOST_PATCHES), (one) => now.colour ? valueOf(now.colour, one) : "");
    showLabels();
  }

  function ends(sign) {
    const order = Array.from(now.colour.values, (_, cell) => cell).filter((cell) => !Number.isNaN(now.colour.values[cell]));
    order.sort((one, other) => sign * (now.colour.values[other] - now.colour.values[one]) || one - other);
    const seen = new Set(), found = [];
    for (const cell of order) {
      if (seen.has(track[cell])) continue;
      seen.add(track[cell]);
      found.push(cell);
      if (found.length === MOST_PATCHES) break;
    }
    const places = new Set(found), chosen = [];
    drawn.forEach((cell, place) => { if (places.has(cell)) chosen.push(place); });
    Plotly.update(plot, { selectedpoints: [chosen] }, { selections: [] }, [0]);
    const last = found.length ? now.colour.values[found[found.length - 1]] : NaN;
    const alike = new Set(order.filter((cell) => now.colour.values[cell] === last).map((cell) => track[cell])).size;
    const some = found.filter((cell) => now.colour.values[cell] === last).length;
    const ties = alike > some ? `; of ${alike.toLocaleString("en")} tracks that share the last value, ${some} are shown` : "";
    select(found, `The ${found.length} ${sign > 0 ? "highest" : "lowest"} by ${now.colour.name}, one of each track${ties}`);
  }

  function problem() {
    const name = byId("label-column").value.trim();
    if (!name) return "the column needs a name";
    if (data.taken.includes(name)) return `"${name}" is a column of every table; take another name`;
    if (name.includes("/") || ["_index", ".", ".."].includes(name)) return "the name of a column has no /";
    const value = byId("label-value").value.trim();
    if (value && data.missing.includes(value)) return `a table reads "${value}" as a label that is missing; take another`;
    return "";
  }

  function showLabels() {
    const name = byId("label-column").value.trim(), value = byId("label-value").value.trim();
    byId("label-problem").textContent = problem();
    byId("label-add").disabled = Boolean(problem()) || !value || !now.selected.length;
    byId("download").disabled = Boolean(problem()) || !labels.size;
    byId("download").textContent = labels.size ? `download ${labels.size.toLocaleString("en")} labels as a table` : "download the table";
    const counts = new Map();
    for (const label of labels.values()) counts.set(label, (counts.get(label) || 0) + 1);
    byId("label-list").replaceChildren(...Array.from(counts, ([label, cells]) => {
      const row = element("li", `${label}: ${cells.toLocaleString("en")}`);
      const remove = element("button", "remove", { type: "button" });
      remove.addEventListener("click", () => {
        for (const [cell, own] of labels) if (own === label) labels.delete(cell);
        showLabels();
      });
      row.append(remove);
      return row;
    }));
    byId("label-next").hidden = !labels.size;
    byId("label-one").hidden = counts.size !== 1;
    byId("label-yaml").textContent = `cell_columns: {path: ${fileName()}, fill: {${JSON.stringify(name)}: unlabelled}}`;
  }

  function addLabels() {
    if (byId("label-add").disabled) return;
    const value = byId("label-value").value.trim();
    const chosen = byId("label-tracks").checked ? now.selected.flatMap((cell) => tracks.get(track[cell])) : now.selected;
    for (const cell of chosen) labels.set(cell, value);
    showLabels();
  }

  function fileName() {
    const plain = byId("label-column").value.trim().replace(/[^A-Za-z0-9_-]+/g, "_").slice(0, 60);
    return `${plain || "label"}.csv`;
  }

  function quoted(text) {
    return /^[A-Za-z0-9_./-]+$/.test(text) ? text : `"${text.replaceAll('"', '""')}"`;
  }

  function table() {
    const lines = [[...data.keys.map((one) => one.name), byId("label-column").value.trim()].map(quoted).join(",")];
    const cells = Array.from(labels.keys()).sort((one, other) => one - other);
    for (const cell of cells) {
      lines.push([...data.keys.map((one) => one.values[cell]), labels.get(cell)].map(quoted).join(","));
    }
    return Array.from(new Set(lines)).join("\n") + "\n";  // channels of a cell make the same line
  }

  function download() {
    const link = element("a", undefined, { download: fileName() });
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // ---- the legend

  function showLegend() {
    const one = now.colour, legend = byId("legend");
    byId("ends").hidden = one.kind === "names";
    if (one.kind !== "names") {
      const [low, high] = limits(one);
      const scale = element("div", undefined, { className: "scale" });
      const bar = element("div", undefined, { className: "bar" });
      bar.style.background = `linear-gradient(to right, ${VIRIDIS.join(", ")})`;
      const told = (value) => String(Number(value.toPrecision(4)));
      scale.append(element("span", told(low)), bar, element("span", told(high)));
      if (Array.from(one.values).some(Number.isNaN)) scale.append(key(data.unknown), element("span", "not known"));
      legend.replaceChildren(scale);
      return;
    }
    const counts = new Map();
    for (const code of one.codes) counts.set(code, (counts.get(code) || 0) + 1);
    const codes = Array.from(counts.keys()).sort((a, b) => (a < 0) - (b < 0) || a - b);
    const shown = codes.slice(0, MOST_NAMES).map((code) => {
      const name = code < 0 ? "not known" : one.values[code];
      const button = element("button", undefined, { type: "button", title: "show these alone, or all again" });
      button.append(key(code < 0 ? data.unknown : data.palette[code % data.palette.length]), `${name} (${counts.get(code).toLocaleString("en")})`);
      button.classList.toggle("off", now.only !== null && now.only !== code);
      button.addEventListener("click", () => {
        now.only = now.only === code ? null : code;
        recolour();
        showLegend();
      });
      return button;
    });
    if (codes.length > shown.length) shown.push(element("span", `and ${(codes.length - shown.length).toLocaleString("en")} more; colours repeat`, { className: "note" }));
    legend.replaceChildren(...shown);
  }

  function key(colour) {
    const made = element("i");
    made.style.background = colour;
    return made;
  }

  // ---- controls

  function fill(id, names) {
    byId(id).replaceChildren(...names.map(([value, text]) => element("option", text, { value })));
  }

  fill("map-choice", maps.map((one, place) => [String(place), one.name]));
  const groups = [["of the table", columns.filter((one) => !one.made)], ["from the neighbours", columns.filter((one) => one.made)]];
  byId("colour").replaceChildren(...groups.filter(([, some]) => some.length).map(([label, some]) => {
    const group = element("optgroup", undefined, { label });
    group.append(...some.map((one) => element("option", one.name, { value: one.name })));
    return group;
  }));
  const channels = data.pictures ? data.pictures.channels : [];
  byId("channel-label").hidden = channels.length < 2;
  fill("channel", [["all", "all, as colours"], ...channels.map((name, place) => [String(place), name])]);

  now.colour = column.get(data.colour) || columns[0];
  byId("colour").value = now.colour.name;
  byId("map-choice").addEventListener("change", (event) => moveTo(Number(event.target.value)));
  byId("colour").addEventListener("change", (event) => {
    now.colour = column.get(event.target.value);
    now.only = null;
    recolour();
    showLegend();
    for (const made of byId("selection-patches").children) {
      made.querySelector("figcaption").textContent = valueOf(now.colour, Number(made.dataset.cell));
    }
  });
  byId("channel").addEventListener("change", (event) => {
    now.channel = event.target.value;
    for (const made of document.querySelectorAll("figure canvas")) drawPatch(made, Number(made.parentElement.dataset.cell));
    const large = document.querySelector("#cell-patch canvas");
    if (large) drawPatch(large, now.cell);
  });
  byId("mode-pan").addEventListener("click", () => setMode("pan"));
  byId("mode-lasso").addEventListener("click", () => setMode("lasso"));
  byId("reset").addEventListener("click", () => {
    select([]);
    Plotly.update(plot, { selectedpoints: [null] }, { selections: [], "xaxis.autorange": true, "yaxis.autorange": true }, [0]);
  });
  byId("highest").addEventListener("click", () => ends(1));
  byId("lowest").addEventListener("click", () => ends(-1));
  byId("label-add").addEventListener("click", addLabels);
  byId("download").addEventListener("click", download);
  for (const id of ["label-column", "label-value"]) {
    byId(id).addEventListener("input", showLabels);
    byId(id).addEventListener("keydown", (event) => { if (event.key === "Enter") addLabels(); });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") letGo(); });

  showMode("pan");
  showLegend();
  select([]);
  drawMap();
})();
