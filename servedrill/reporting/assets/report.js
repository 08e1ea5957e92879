"use strict";
(() => {
  const drills = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const GUTTER = 58, HEIGHT = 200, LANE = 20;
  const views = [];

  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // ---- words for figures
  const trim = (value, digits) => String(Number(value.toPrecision(digits)));
  const seconds = (value) => value >= 3600 ? `${Math.floor(value / 3600)}:${String(Math.floor(value / 60) % 60).padStart(2, "0")} h`
    : value >= 600 ? `${Math.floor(value / 60)}:${String(Math.round(value % 60)).padStart(2, "0")}` : `${trim(value, 4)} s`;
  const figure = (unit) => (value) => value == null ? "–"
    : unit === "ms" ? (value >= 1000 ? `${trim(value / 1000, 3)} s` : `${trim(value, 3)} ms`)
      : unit === "%" ? `${trim(value, 3)}%` : trim(value, 3);

  // ---- what lies behind and over every plot
  const clipped = (u, draw) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx, bbox, uPlot.pxRatio);
    ctx.restore();
  };
  const behind = (drill) => (u) => clipped(u, (ctx, box) => {
    ctx.fillStyle = colour("--fault");
    for (const band of drill.bands.filter((band) => band.kind === "fault")) {
      const x = u.valToPos(band.start, "x", true);
      ctx.fillRect(x, box.top, Math.max(1, u.valToPos(band.end, "x", true) - x), box.height);
    }
  });
  const over = (drill, plot, crosses) => (u) => clipped(u, (ctx, box, px) => {
    for (const mark of drill.marks) {
      const x = Math.round(u.valToPos(mark.at, "x", true));
      const alert = mark.kind === "alert";
      ctx.strokeStyle = ctx.fillStyle = colour(alert ? "--alert" : "--state");
      ctx.globalAlpha = alert ? 1 : .5;
      ctx.lineWidth = px;
      ctx.setLineDash(alert ? [5 * px, 3 * px] : [1 * px, 3 * px]);
      ctx.beginPath(); ctx.moveTo(x, box.top); ctx.lineTo(x, box.top + box.height); ctx.stroke();
      if (alert) { ctx.beginPath(); ctx.moveTo(x - 4 * px, box.top); ctx.lineTo(x + 4 * px, box.top); ctx.lineTo(x, box.top + 6 * px); ctx.fill(); }
    }
    ctx.globalAlpha = 1;
    ctx.setLineDash([6 * px, 4 * px]);
    ctx.strokeStyle = colour("--ink");
    for (const limit of plot.limits) {
      const y = Math.round(u.valToPos(limit.y, "y", true));
      ctx.beginPath(); ctx.moveTo(box.left, y); ctx.lineTo(box.left + box.width, y); ctx.stroke();
    }
    ctx.setLineDash([]);
    for (const [index, tone] of crosses) {
      if (!u.series[index].show) continue;
      ctx.strokeStyle = tone; ctx.lineWidth = 1.5 * px;
      ctx.beginPath();
      u.data[index].forEach((value, at) => {
        if (value == null) return;
        const x = u.valToPos(u.data[0][at], "x", true), y = u.valToPos(value, "y", true), r = 3 * px;
        ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r); ctx.moveTo(x - r, y + r); ctx.lineTo(x + r, y - r);
      });
      ctx.stroke();
    }
    ctx.font = `700 ${10 * px}px system-ui, sans-serif`;
    ctx.fillStyle = colour("--fault-ink"); ctx.textAlign = "left"; ctx.textBaseline = "top";
    let free = -Infinity;
    for (const band of drill.bands.filter((band) => band.kind === "fault")) {
      const x = Math.max(box.left, u.valToPos(band.start, "x", true)) + 3 * px;
      if (x < free || u.valToPos(band.end, "x", true) < box.left) continue;
      ctx.strokeStyle = colour("--card"); ctx.lineWidth = 3 * px; ctx.lineJoin = "round";
      ctx.strokeText(band.short, x, box.top + 3 * px);
      ctx.fillText(band.short, x, box.top + 3 * px);
      free = x + ctx.measureText(band.short).width + 3 * px;
    }
  });

  // ---- one range of time for all plots of a drill
  const zoomed = (view, min, max) => {
    const whole = view.drill.seconds, least = Math.min(whole, .2);
    let span = Math.max(least, Math.min(whole, max - min));
    min = Math.max(0, Math.min(min, whole - span));
    if (view.min === min && view.max === min + span) return;
    view.min = min; view.max = min + span;
    for (const u of view.plots) u.setScale("x", { min: view.min, max: view.max });
  };
  const powers = (u, axis, min, max) => {
    const marks = [], steps = max / min > 120 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max) + 1e-9; power++)
      for (const step of steps) { const value = step * 10 ** power; if (value >= min * .999 && value <= max * 1.001) marks.push(Number(value.toPrecision(6))); }
    return marks;
  };
  const STEPS = [.05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
  const clock = (u, splits) => {
    const most = splits[splits.length - 1], two = (value) => String(value).padStart(2, "0");
    if (most < 600) return splits.map((value) => `${trim(value, 4)} s`);
    return splits.map((value) => most < 3600 ? `${Math.floor(value / 60)}:${two(Math.round(value % 60))}` : `${Math.floor(value / 3600)}:${two(Math.floor(value / 60) % 60)} h`);
  };
  const axes = (unit, log) => {
    const axis = { stroke: colour("--soft"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--grid"), width: 1 }, ticks: { stroke: colour("--grid"), width: 1, size: 4 } };
    return [
      { ...axis, size: 26, gap: 4, space: 60, incrs: STEPS, values: clock },
      { ...axis, size: GUTTER, gap: 4, ...(log ? { splits: powers, filter: (u, splits) => splits } : {}), values: (u, splits) => splits.map((value) => value == null ? "" : figure(unit)(value)) },
    ];
  };
  const shared = (view, width, height) => ({
    width, height, pxAlign: 1, legend: { show: false },
    cursor: {
      sync: { key: `drill-${view.number}`, setSeries: false }, drag: { x: true, y: false, dist: 6 }, points: { size: 6 },
      bind: { dblclick: () => () => { zoomed(view, 0, view.drill.seconds); return null; } },
    },
  });
  const onZoom = (view) => (u, key) => {
    if (key === "x" && u.scales.x.min != null && (u.scales.x.min !== view.min || u.scales.x.max !== view.max)) zoomed(view, u.scales.x.min, u.scales.x.max);
  };

  // ---- windows, faults, alerts and changes as lanes
  const drawLanes = (view, host, width) => {
    const { drill } = view;
    const lanes = [];
    for (const kind of ["window", "fault", "alert"]) {
      const bands = drill.bands.filter((band) => band.kind === kind);
      const rows = Math.max(-1, ...bands.map((band) => band.row)) + 1;
      for (let row = 0; row < rows; row++) lanes.push({ kind, name: row ? "" : `${kind}s`, bands: bands.filter((band) => band.row === row) });
    }
    if (drill.marks.length) lanes.push({ kind: "state", name: "changes", bands: [], marks: drill.marks });
    const fills = { window: ["--window", "--window-ink"], fault: ["--fault-solid", "--ink"], alert: ["--alert-tint", "--ink"] };
    const draw = (u) => {
      const { ctx, bbox: box } = u, px = uPlot.pxRatio;
      ctx.save();
      ctx.font = `${11 * px}px system-ui, sans-serif`; ctx.textBaseline = "middle";
      lanes.forEach((lane, at) => {
        const top = box.top + at * LANE * px, middle = top + LANE * px / 2;
        ctx.fillStyle = colour("--soft"); ctx.textAlign = "right";
        ctx.fillText(lane.name, box.left - 8 * px, middle);
        ctx.textAlign = "left";
        for (const band of lane.bands) {
          const from = u.valToPos(band.start, "x", true), to = u.valToPos(band.end, "x", true);
          const x = Math.max(box.left, from), end = Math.min(box.left + box.width, to);
          if (end <= box.left || x >= box.left + box.width) continue;
          const [fill, ink] = fills[band.kind];
          ctx.fillStyle = colour(fill);
          ctx.beginPath(); ctx.roundRect(x, top + 2 * px, Math.max(2 * px, end - x - px), (LANE - 4) * px, 3 * px); ctx.fill();
          ctx.save();
          ctx.beginPath(); ctx.rect(x, top, Math.max(0, end - x - 4 * px), LANE * px); ctx.clip();
          ctx.fillStyle = colour(ink);
          ctx.fillText(band.short ? `${band.short}  ${band.label}` : band.label, x + 5 * px, middle);
          ctx.restore();
        }
        for (const mark of lane.marks || []) {
          const x = u.valToPos(mark.at, "x", true);
          if (x < box.left || x > box.left + box.width) continue;
          ctx.fillStyle = colour(mark.kind === "alert" ? "--alert" : "--state");
          ctx.fillRect(Math.round(x), top + 4 * px, 2 * px, (LANE - 8) * px);
        }
      });
      ctx.restore();
    };
    const options = {
      ...shared(view, width, lanes.length * LANE + 34),
      padding: [4, 8, 0, 0],
      scales: { x: { time: false, auto: false, min: view.min, max: view.max }, y: { range: [0, 1] } },
      axes: [axes("")[0], { size: GUTTER, grid: { show: false }, ticks: { show: false }, values: () => [] }],
      series: [{}, { show: true, points: { show: false }, paths: () => null }],
      hooks: { draw: [draw], setScale: [onZoom(view)] },
    };
    return new uPlot(options, [[0, drill.seconds], [null, null]], host);
  };

  // ---- one plot
  const tones = (plot) => {
    let next = 0;
    return plot.lines.map((line) => line.tone ? `--${line.tone}` : `--s${next++ % 8}`).map(colour);
  };
  // A value between two holes has no line, so it is a dot. (undefined is no hole: it belongs to another line's x.)
  const lonely = (u, index) => {
    const found = [], values = u.data[index];
    let before = null, last = -1;
    values.forEach((value, at) => {
      if (value === undefined) return;
      if (value === null) { if (last >= 0 && before === null) found.push(last); before = null; last = -1; return; }
      before = last >= 0 ? values[last] : null;
      last = at;
    });
    if (last >= 0 && before === null) found.push(last);
    return found;
  };
  const drawPlot = (view, card, host, plot, width) => {
    const inks = tones(plot), say = figure(plot.unit), hidden = card.hidden_lines || (card.hidden_lines = new Set());
    const order = plot.lines.map((_, index) => index);
    if (plot.stacked) order.reverse();
    const tables = [[plot.x], ...plot.lines.filter((line) => line.x).map((line) => [line.x, line.y])];
    const own = plot.lines.filter((line) => line.x);
    for (const index of order) if (!plot.lines[index].x) tables[0].push(plot.lines[index].y);
    const drawn = [...order.filter((index) => !plot.lines[index].x), ...own.map((line) => plot.lines.indexOf(line))];
    const data = () => {
      if (!plot.stacked) return uPlot.join(tables, tables.map((table, number) => table.map(() => number ? 1 : 2)));
      const sums = plot.x.map(() => 0);
      const stacked = plot.lines.map((line, index) => line.y.map((value, at) => value == null ? null : hidden.has(index) ? sums[at] : (sums[at] += value)));
      return [plot.x, ...drawn.map((index) => stacked[index])];
    };
    const crosses = [];
    const series = drawn.map((index, position) => {
      const line = plot.lines[index], ink = inks[index], one = { label: line.label, show: !hidden.has(index), stroke: ink, width: 1.5, points: { show: true, size: 5, width: 0, fill: ink, filter: lonely } };
      if (line.draw === "points") return { ...one, paths: () => null, points: { show: true, size: 3.5, width: 0, fill: ink } };
      if (line.draw === "crosses") { crosses.push([position + 1, ink]); return { ...one, paths: () => null, points: { show: false } }; }
      if (line.draw === "bars") return { ...one, width: 0, fill: ink, paths: uPlot.paths.bars({ size: [1, Infinity], gap: plot.x.length > 120 ? 0 : 1 }), points: { show: false } };
      if (line.draw === "area") return { ...one, width: 0, fill: ink, paths: uPlot.paths.bars({ size: [1, Infinity], gap: 0 }), points: { show: false } };
      return { ...one, width: line.tone === "most" ? 1 : 1.75 };
    });
    const limits = plot.limits.map((limit) => limit.y);
    const yRange = (u, low, high) => {
      if (low == null) { low = plot.log ? 1 : 0; high = plot.log ? 10 : 1; }
      if (plot.log) return uPlot.rangeLog(Math.min(low, ...limits) * .9, Math.max(high, ...limits) * 1.2, 10, false);
      return [0, plot.top || Math.max(plot.unit === "requests" ? 4 : .1, Math.max(high, ...limits) * 1.12)];
    };
    const values = [];
    const options = {
      ...shared(view, width, HEIGHT),
      padding: [8, 8, 0, 0],
      scales: { x: { time: false, auto: false, min: view.min, max: view.max }, y: { distr: plot.log ? 3 : 1, range: yRange } },
      axes: axes(plot.unit, plot.log), series: [{}, ...series],
      hooks: {
        drawClear: [behind(view.drill)], draw: [over(view.drill, plot, crosses)], setScale: [onZoom(view)],
        setCursor: [(u) => plot.lines.forEach((line, index) => {
          if (!values[index]) return;
          const at = u.cursor.idx == null || u.cursor.left < 0 ? null : nearest(line.x || plot.x, u.posToVal(u.cursor.left, "x"));
          values[index].textContent = at == null || line.x ? "" : say(line.y[at]);
        })],
      },
    };
    options.cursor.points = { size: 6, show: !plot.stacked };
    const u = new uPlot(options, data(), host);
    const legend = card.querySelector(".legend");
    legend.replaceChildren(...plot.lines.map((line, index) => {
      const value = make("span", { class: "value" });
      values[index] = value;
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      svg.setAttribute("viewBox", "0 0 14 10"); svg.setAttribute("aria-hidden", "true");
      path.setAttribute("d", line.draw === "crosses" ? "M4 2l6 6M4 8l6-6" : line.draw === "points" ? "M7 3a2 2 0 1 0 .01 0" : line.draw === "line" ? "M0 5h14" : "M1 1h12v8H1z");
      path.setAttribute("stroke", inks[index]); path.setAttribute("stroke-width", "2"); path.setAttribute("fill", line.draw === "line" || line.draw === "crosses" ? "none" : inks[index]);
      svg.append(path);
      const button = make("button", { type: "button", "aria-pressed": String(!hidden.has(index)) }, svg, line.label, value);
      button.addEventListener("click", () => {
        if (hidden.has(index)) hidden.delete(index); else hidden.add(index);
        button.setAttribute("aria-pressed", String(!hidden.has(index)));
        u.setSeries(drawn.indexOf(index) + 1, { show: !hidden.has(index) });
        if (plot.stacked) u.setData(data(), false), u.redraw(true);
      });
      return button;
    }));
    return u;
  };
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (low < high) { const middle = (low + high) >> 1; if (xs[middle] < x) low = middle + 1; else high = middle; }
    return low > 0 && x - xs[low - 1] < xs[low] - x ? low - 1 : low;
  };

  const asTable = (view, plot, host) => {
    const say = figure(plot.unit), lines = plot.lines.filter((line) => !line.x);
    const rows = plot.x.map((x, at) => at).filter((at) => plot.x[at] >= view.min && plot.x[at] <= view.max);
    const step = Math.max(1, Math.ceil(rows.length / 120));
    host.replaceChildren(make("table", {},
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "At"), ...lines.map((line) => make("th", { scope: "col", class: "number" }, line.label)))),
      make("tbody", {}, ...rows.filter((_, index) => index % step === 0).map((at) => make("tr", {}, make("th", { scope: "row" }, seconds(plot.x[at])), ...lines.map((line) => make("td", { class: "number" }, say(line.y[at]))))))));
  };

  // ---- all of them
  drills.forEach((drill, number) => {
    const view = { number, drill, plots: [], cards: [], min: 0, max: drill.seconds };
    views.push(view);
    document.querySelectorAll(`.plot[data-drill="${number}"]`).forEach((card) => {
      const plot = card.dataset.plot === "lanes" ? null : drill.plots[Number(card.dataset.plot)];
      view.cards.push({ card, plot, host: card.querySelector(".draw") });
      const table = card.querySelector(".as-table");
      if (table) table.addEventListener("toggle", () => { if (table.open) asTable(view, plot, table.querySelector(".scroll")); });
    });
    const bar = document.querySelector(`[data-zoom="${number}"]`);
    if (!bar) return;
    bar.hidden = false;
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const span = view.max - view.min, middle = (view.min + view.max) / 2;
      if (button.dataset.from) {
        const from = Number(button.dataset.from), to = Number(button.dataset.to), room = Math.max(.5, (to - from) * .25);
        return zoomed(view, from - room, to + room);
      }
      ({ all: () => zoomed(view, 0, drill.seconds), in: () => zoomed(view, middle - span / 4, middle + span / 4), out: () => zoomed(view, middle - span, middle + span),
        left: () => zoomed(view, view.min - span / 3, view.max - span / 3), right: () => zoomed(view, view.min + span / 3, view.max + span / 3) })[button.dataset.do]();
    });
  });
  const drawAll = () => {
    for (const view of views) {
      for (const u of view.plots) u.destroy();
      view.plots = view.cards.map(({ card, plot, host }) => {
        const width = Math.max(240, host.clientWidth);
        return plot ? drawPlot(view, card, host, plot, width) : drawLanes(view, host, width);
      });
    }
  };
  drawAll();
  let waiting = 0, before = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === before) return;
    before = window.innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(() => views.forEach((view) => view.plots.forEach((u, at) => u.setSize({ width: Math.max(240, view.cards[at].host.clientWidth), height: u.height }))), 120);
  });

  // ---- light and dark
  const toggle = document.getElementById("theme"), dark = window.matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => { try { return localStorage.getItem("servedrill-theme"); } catch { return null; } };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
  const shown = () => { toggle.setAttribute("aria-pressed", String(isDark())); drawAll(); };
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("servedrill-theme", root.dataset.theme); } catch { /* a page without storage forgets */ }
    shown();
  });
  dark.addEventListener("change", shown);
  if (root.dataset.theme) shown(); else toggle.setAttribute("aria-pressed", String(isDark()));

  // ---- on paper everything is open, and light
  let kept = null;
  window.addEventListener("beforeprint", () => {
    kept = { theme: root.dataset.theme, closed: [...document.querySelectorAll("details:not([open]):not(.as-table):not(.story)")] };
    for (const one of kept.closed) one.open = true;
    root.dataset.theme = "light";
    drawAll();
  });
  window.addEventListener("afterprint", () => {
    if (!kept) return;
    for (const one of kept.closed) one.open = false;
    if (kept.theme) root.dataset.theme = kept.theme; else delete root.dataset.theme;
    kept = null;
    drawAll();
  });

  // ---- small comforts
  const opened = () => { const target = document.getElementById(location.hash.slice(1)); if (target && target.tagName === "DETAILS") target.open = true; };
  window.addEventListener("hashchange", opened);
  opened();
  document.querySelectorAll(".copy").forEach((button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
        button.textContent = "Copied";
      } catch { button.textContent = "Select it"; }
    });
  });
})();
