// The code explorer: pictures, their codes, and everything that one code has to do with, in panes that light up together.
// One file for two places. In JupyterLab anywidget calls `render` with a model whose other half is CodebookExplorer; in the page that explorer_page writes,
// a few lines stand in for the model. Read from it: data (see explorer_data), problem (a sentence, or ''). Kept equal: selection [code, ...], picture, place [row, column].
const COLORS = ['#e8710a', '#1a73e8', '#0f9d58', '#d01884', '#8e5bd0', '#00838f'];
const ASK = 'Click a patch, a tile or a dot; drag over the map for many.';

const STYLE = `
.vx { --bg: var(--jp-layout-color0, #fff); --fg: var(--jp-ui-font-color0, #1b1b1b); --soft: var(--jp-ui-font-color1, #444); --line: var(--jp-border-color1, #aaa); --fill: var(--jp-layout-color2, #eee);
  container-type: inline-size; position: relative; overflow: clip; background: var(--bg); color: var(--fg); font: 13px/1.4 system-ui, sans-serif; }
.vx.dark { --bg: var(--jp-layout-color0, #16181b); --fg: var(--jp-ui-font-color0, #f0f0f0); --soft: var(--jp-ui-font-color1, #c4c7cb); --line: var(--jp-border-color1, #666); --fill: var(--jp-layout-color2, #33373c); }
.vx * { box-sizing: border-box; }
.vx-bar { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; padding: 8px 10px 2px; }
.vx-say { flex: 1 1 320px; margin: 0; min-height: 2.8em; font-size: 14px; display: flex; align-items: center; }
.vx label { display: inline-flex; gap: 5px; align-items: center; color: var(--soft); }
.vx input, .vx select, .vx button { font: inherit; color: var(--fg); background: var(--bg); border: 1px solid var(--line); border-radius: 4px; padding: 2px 7px; height: 26px; }
.vx input[type=number] { width: 5.5em; } .vx input[type=checkbox] { height: auto; margin: 0; } .vx button { cursor: pointer; } .vx button:hover { background: var(--fill); }
.vx-panes { display: grid; gap: 12px 16px; padding: 6px 10px 10px; grid-template-columns: minmax(0, 1fr); grid-template-areas: 'picture' 'atlas' 'exemplars' 'card' 'map' 'usage' 'sheet'; }
@container (min-width: 620px) { .vx-panes { grid-template-columns: 280px minmax(0, 1fr); grid-template-areas: 'picture atlas' 'exemplars exemplars' 'card map' 'usage usage' 'sheet sheet'; } }
@container (min-width: 980px) { .vx-panes { grid-template-columns: 290px minmax(0, 1fr) minmax(0, 1fr); grid-template-areas: 'picture atlas exemplars' 'card map usage' 'sheet sheet sheet'; } }
.vx section { min-width: 0; }
.vx-head { display: flex; flex-wrap: wrap; gap: 2px 8px; align-items: center; justify-content: space-between; min-height: 30px; }
.vx-head h3 { all: unset; display: block; font-weight: 600; color: var(--fg); }
.vx-note { margin: 3px 0 0; color: var(--soft); font-size: 12px; min-height: 1.4em; }
.vx-scroll { overflow: auto; overscroll-behavior: contain; }
.vx canvas { display: block; touch-action: pan-y; cursor: crosshair; border-radius: 2px; }
.vx canvas.vx-still { cursor: default; }
.vx canvas:focus-visible, .vx :is(input, select, button):focus-visible { outline: 2px solid ${COLORS[1]}; outline-offset: 2px; }
.vx-tip { position: absolute; z-index: 5; pointer-events: none; padding: 3px 8px; border-radius: 4px; background: #202124; color: #fff; font-size: 12px; white-space: nowrap; visibility: hidden; }
.vx-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.vx-problem { margin: 0; padding: 14px 16px; border-left: 4px solid ${COLORS[0]}; }`;

const number = n => n.toLocaleString('en-US');
const bits = p => (-Math.log2(p)).toFixed(2);
const bytes = raw => typeof raw === 'string' ? Uint8Array.from(atob(raw), c => c.charCodeAt(0)) : new Uint8Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
const words = raw => new Uint16Array(bytes(raw).buffer);
const sprite = async raw => raw && raw.length !== 0 && raw.byteLength !== 0 ? createImageBitmap(new Blob([bytes(raw)], { type: 'image/png' })) : null;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) k in node && typeof v !== 'string' ? node[k] = v : node.setAttribute(k, v);
  if (['canvas', 'button', 'input', 'select'].includes(tag)) node.dataset.lmSuppressShortcuts = 'true';   // on what has the focus itself, or JupyterLab takes arrows and Enter
  node.append(...children);
  return node;
}

// ---- what can be known about the codes; no drawing ----

function read(data) {
  const { count: n, grid: [rows, columns], num_codes: K } = data, codes = words(data.codes), cells = rows * columns;
  const counts = new Uint32Array(K), begin = new Uint32Array(K + 1);
  for (const c of codes) counts[c]++;
  for (let k = 0; k < K; k++) begin[k + 1] = begin[k] + counts[k];
  const next = begin.slice(), patches = new Uint32Array(codes.length);          // patches of code k: begin[k] to begin[k+1]
  codes.forEach((c, i) => { patches[next[c]++] = i; });
  const byUse = Array.from(counts.keys()).sort((a, b) => counts[b] - counts[a] || a - b);
  const place = i => [Math.floor(i / cells), Math.floor(i % cells / columns), i % columns];
  const of = k => patches.subarray(begin[k], begin[k + 1]);
  function spread(k) {                                                          // one of each picture before a second of any
    const seen = new Map(), turns = [];
    for (const i of of(k)) {
      const p = Math.floor(i / cells), turn = seen.get(p) ?? 0;
      seen.set(p, turn + 1);
      (turns[turn] ??= []).push(i);
    }
    return turns.flat();
  }
  const used = counts.reduce((s, c) => s + (c > 0), 0), total = codes.length;
  const perplexity = Math.exp(counts.reduce((s, c) => c ? s - c / total * Math.log(c / total) : s, 0));
  const pictures = chosen => new Set(chosen.flatMap(k => Array.from(of(k), i => Math.floor(i / cells)))).size;
  function describe(chosen) {
    if (!chosen.length) return `No code is chosen. ${ASK}`;
    const sum = chosen.reduce((s, k) => s + counts[k], 0), name = chosen.length === 1 ? `Code ${chosen[0]}` : `${chosen.length} codes`;
    if (!sum) return `${name}: in none of the ${n} pictures.`;
    const said = `${name}: ${number(sum)} of ${number(total)} patches (${bits(sum / total)} bits), in ${pictures(chosen)} of ${n} pictures`;
    if (chosen.length > 1) return `${said}.`;
    const more = counts.reduce((s, c) => s + (c > sum), 0);
    return `${said}; ${more || 'no'} code${more === 1 ? ' is' : 's are'} more frequent.`;
  }
  return { ...data, n, rows, columns, K, cells, codes, counts, byUse, place, of, spread, used, total, perplexity, describe,
           labels: words(data.labels), near: words(data.near), maps: Object.fromEntries(Object.entries(data.maps).map(([k, v]) => [k, words(v)])) };
}

// ---- the view ----

function render({ model, el }) {
  const root = make('div', { class: 'vx', role: 'group', 'aria-label': 'Code explorer' });
  el.append(root);
  const undo = [];
  const listen = (events, f) => { model.on(events, f); undo.push(() => model.off(events, f)); };
  const start = () => {
    undo.splice(0).forEach(f => f());
    root.replaceChildren(make('style', {}, STYLE));
    if (model.get('problem')) root.append(make('p', { class: 'vx-problem', role: 'alert' }, model.get('problem')));
    else if (model.get('data')?.codes) explore(model, root, listen, undo);
    listen('change:data change:problem', start);
  };
  start();
  return () => undo.splice(0).forEach(f => f());
}

async function explore(model, root, listen, undo) {
  const d = read(model.get('data')), p = d.patch, panes = {};
  let alone = null, gone = false, order = 'use', log = true, which = Object.keys(d.maps)[0], hovered = null, theme = {}, brush = null;
  undo.push(() => { gone = true; });
  const [pictures, means] = await Promise.all([sprite(d.pictures), sprite(d.means)]);
  if (gone) return;

  const chosen = () => model.get('selection');
  const color = k => { const i = chosen().indexOf(k); return i < 0 ? null : chosen().length > COLORS.length ? COLORS[0] : COLORS[i]; };
  const codeAt = (i, r, c) => d.codes[i * d.cells + r * d.columns + c];
  const className = i => d.classes[d.labels[i]] ?? '';
  const told = k => `code ${k} · ${number(d.counts[k])}× · ${d.counts[k] ? bits(d.counts[k] / d.total) + ' bits' : 'dead'}`;

  // ---- state ----
  function put(changes) {
    for (const [k, v] of Object.entries(changes)) model.set(k, v);
    model.save_changes();
  }
  function select(codes, add = false) {
    const old = chosen(), set = new Set(old);
    if (add && codes.length === 1 && set.has(codes[0])) set.delete(codes[0]); else codes.forEach(k => set.add(k));
    const selection = add ? [...set] : codes, changes = { selection };
    if (selection.length === 1 && d.counts[selection[0]]) {                     // never a picture in which nothing is lit
      const found = d.spread(selection[0]).map(d.place), [r, c] = model.get('place');
      const here = found.filter(([i]) => i === model.get('picture')), [i, ...place] = here[0] ?? found[0];
      if (i !== model.get('picture')) changes.picture = i;
      if (i !== model.get('picture') || codeAt(i, r, c) !== selection[0]) changes.place = place;
    }
    put(changes);
  }
  function pick(box, add) {
    if (box.at) put({ picture: box.at[0], place: box.at.slice(1) });
    select([box.code], add);
  }
  function turn(step) {                                                         // to another picture: what stands at the same place there?
    const i = (model.get('picture') + step + d.n) % d.n, [r, c] = model.get('place');
    put({ picture: i, selection: [codeAt(i, r, c)] });
  }

  // ---- drawing ----
  function frame(ctx, b, stroke, width) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width;
    ctx.strokeRect(b.x - width / 2, b.y - width / 2, b.w + width, b.h + width);
  }
  function mean(ctx, k, x, y, side) {
    const dead = !d.counts[k], image = dead ? alone : means, n = d.tiles;
    if (image) ctx.drawImage(image, k % n * p, Math.floor(k / n) * p, p, p, x, y, side, side);
    if (!dead) return;
    ctx.strokeStyle = theme.line; ctx.lineWidth = 1;
    ctx.beginPath(); ctx.moveTo(x, y + side); ctx.lineTo(x + side, y); ctx.stroke();
  }
  function part(ctx, i, r, c, h, w, x, y, width, height) {                      // h by w patches of picture i from row r, column c, all inside it
    const left = i % d.across * d.columns * p, top = Math.floor(i / d.across) * d.rows * p;
    ctx.drawImage(pictures, left + c * p, top + r * p, w * p, h * p, x, y, width, height);
  }
  function text(ctx, said, x, y, { size = 12, fill = theme.soft, align = 'left', bold = false } = {}) {
    ctx.font = `${bold ? 600 : 400} ${size}px system-ui, sans-serif`;
    ctx.fillStyle = fill; ctx.textAlign = align; ctx.textBaseline = 'middle';
    ctx.fillText(said, x, y);
  }

  // A pane is a canvas of boxes, each of which stands for a code and perhaps a place. `lay` says how high it is and where the boxes are, `paint` draws what stays, `mark` what changes.
  function pane(id, name, host, { lay, paint = () => {}, mark = () => {}, live = true }) {
    const canvas = make('canvas', { class: live ? `vx-${id}` : `vx-${id} vx-still`, role: live ? 'application' : 'img', 'aria-label': name, 'data-pane': id });
    if (live) { canvas.tabIndex = 0; canvas.setAttribute('aria-roledescription', 'picture of codes'); canvas.setAttribute('aria-keyshortcuts', 'ArrowUp ArrowDown ArrowLeft ArrowRight Enter Escape /'); }
    host.append(canvas);
    const base = make('canvas'), o = panes[id] = { canvas, boxes: [], cursor: -1 };
    const scale = () => Math.max(1, window.devicePixelRatio || 1);
    o.layout = () => {
      const width = Math.floor(host.clientWidth);
      if (!width) return;
      const { height, boxes, wide = width } = lay(width);
      Object.assign(o, { boxes, width: wide, height });
      for (const c of [canvas, base]) { c.width = Math.round(wide * scale()); c.height = Math.round(height * scale()); }
      canvas.style.width = `${wide}px`; canvas.style.height = `${height}px`;
      o.repaint();
    };
    const context = c => { const ctx = c.getContext('2d'); ctx.setTransform(scale(), 0, 0, scale(), 0, 0); ctx.clearRect(0, 0, o.width, o.height); ctx.imageSmoothingEnabled = false; return ctx; };
    o.repaint = () => { if (o.width) { paint(context(base), o); o.draw(); } };
    o.draw = () => {
      if (!o.width) return;
      const ctx = context(canvas);
      ctx.drawImage(base, 0, 0, o.width, o.height);
      mark(ctx, o);
      const b = o.boxes[o.cursor];
      if (b && document.activeElement === canvas) frame(ctx, b, theme.fg, 1);
    };
    if (live) hear(o, id);
    return o;
  }

  function hear(o, id) {
    const { canvas } = o;
    const point = e => { const r = canvas.getBoundingClientRect(); return [(e.clientX - r.left) * o.width / r.width, (e.clientY - r.top) * o.height / r.height]; };
    const hit = ([x, y]) => { for (let i = o.boxes.length - 1; i >= 0; i--) { const b = o.boxes[i]; if (x >= b.x && x < b.x + b.w && y >= b.y && y < b.y + b.h) return i; } return -1; };
    canvas.addEventListener('pointerdown', e => {
      canvas.focus({ preventScroll: true });
      const at = point(e), i = hit(at);
      if (id === 'map') { brush = { from: at, to: at, add: e.shiftKey }; canvas.setPointerCapture(e.pointerId); }
      else if (i >= 0) { o.cursor = i; pick(o.boxes[i], e.shiftKey); }
    });
    canvas.addEventListener('pointermove', e => {
      if (brush && id === 'map') { brush.to = point(e); o.draw(); return; }
      const b = o.boxes[hit(point(e))];
      tip(b, e);
      hover(b ? b.code : null);
    });
    canvas.addEventListener('pointerup', e => {
      if (!brush || id !== 'map') return;
      const [[x, y], [u, v]] = [brush.from, brush.to], add = brush.add, i = hit(brush.to);
      brush = null;
      if (Math.hypot(u - x, v - y) < 5) { if (i >= 0) { o.cursor = i; pick(o.boxes[i], add); } else o.draw(); return; }
      const inside = b => { const cx = b.x + b.w / 2, cy = b.y + b.h / 2; return cx >= Math.min(x, u) && cx <= Math.max(x, u) && cy >= Math.min(y, v) && cy <= Math.max(y, v); };
      select(o.boxes.filter(inside).map(b => b.code).sort((a, b) => a - b), add);
    });
    canvas.addEventListener('pointercancel', () => { brush = null; o.draw(); });
    canvas.addEventListener('pointerleave', () => { tip(); hover(null); });
    canvas.addEventListener('focus', o.draw);
    canvas.addEventListener('blur', o.draw);
    canvas.addEventListener('keydown', e => {
      const way = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[e.key];
      if (!way && e.key !== 'Enter' && e.key !== ' ') return;
      e.preventDefault();
      e.stopPropagation();
      const i = way ? beside(o, way) : Math.max(0, o.cursor);
      if (!o.boxes[i]) return;
      o.cursor = i;
      pick(o.boxes[i], e.shiftKey);
      show(o);
    });
  }
  function beside(o, [dx, dy]) {                                                // the nearest box in a direction
    const middle = b => [b.x + b.w / 2, b.y + b.h / 2];
    let from = o.cursor;
    if (!o.boxes[from]) from = o.boxes.findIndex(b => b.code === chosen().at(-1));
    if (from < 0) return 0;
    const [x, y] = middle(o.boxes[from]);
    let best = from, least = Infinity;
    o.boxes.forEach((b, i) => {
      const [u, v] = middle(b), along = (u - x) * dx + (v - y) * dy, off = Math.abs((u - x) * dy) + Math.abs((v - y) * dx);
      if (i !== from && along > 1e-3 && along + 3 * off < least) { least = along + 3 * off; best = i; }
    });
    return best;
  }
  function show(o) {                                                            // scroll inside the pane, never the page
    const host = o.canvas.parentNode, b = o.boxes[o.cursor];
    if (b && host.classList.contains('vx-scroll')) host.scrollTop = Math.min(Math.max(host.scrollTop, b.y + b.h - host.clientHeight + 4), b.y - 4);
  }
  function tip(b, e) {
    tipBox.style.visibility = b ? 'visible' : 'hidden';
    if (!b) return;
    tipBox.textContent = told(b.code) + (b.at ? ` · picture ${b.at[0]}, row ${b.at[1]}, column ${b.at[2]}${className(b.at[0]) ? ', ' + className(b.at[0]) : ''}` : '');
    const r = root.getBoundingClientRect(), x = e.clientX - r.left + 14, y = e.clientY - r.top + 16;
    tipBox.style.left = `${Math.max(0, Math.min(x, r.width - tipBox.offsetWidth - 4))}px`;
    tipBox.style.top = `${Math.min(y, r.height - tipBox.offsetHeight - 2)}px`;
  }
  function hover(k) {
    if (k === hovered) return;
    hovered = k;
    for (const id of ['atlas', 'map', 'usage']) panes[id].draw();
  }

  // ---- the frame around the panes ----
  const say = make('p', { class: 'vx-say', role: 'status', 'aria-live': 'polite' }), tipBox = make('div', { class: 'vx-tip', 'aria-hidden': 'true' });
  const ask = make('input', { type: 'number', min: '0', max: String(d.K - 1), step: '1', 'aria-label': 'Code number', placeholder: '/' });
  const clear = make('button', { type: 'button', title: 'Esc' }, 'Clear'), save = make('button', { type: 'button' }, 'Save PNG');
  const grid = make('div', { class: 'vx-panes' });
  root.append(make('div', { class: 'vx-bar' }, say, make('label', {}, 'Code', ask), clear, save), grid, tipBox);
  function section(area, title, ...tools) {
    const heading = make('h3', {}, title), host = make('div'), note = make('p', { class: 'vx-note' });
    const node = make('section', { style: `grid-area: ${area}`, 'aria-label': title }, make('div', { class: 'vx-head' }, heading, ...tools), host, note);
    grid.append(node);
    return { node, heading, host, note };
  }
  function choice(name, options, value, act) {
    const node = make('select', { 'aria-label': name }, ...options.map(([v, t]) => make('option', { value: v }, t)));
    node.value = value;
    node.addEventListener('change', () => act(node.value));
    return node;
  }
  const everywhere = () => { for (const o of Object.values(panes)) o.layout(); };

  // ---- the panes ----
  const previous = make('button', { type: 'button', 'aria-label': 'Picture before' }, '‹'), following = make('button', { type: 'button', 'aria-label': 'Next picture' }, '›');
  const inPicture = section('picture', 'A picture', make('span', {}, previous, ' ', following));
  pane('picture', 'One picture with its grid of codes: arrow keys move from patch to patch', inPicture.host, {
    lay: width => {
      const step = Math.max(4, Math.floor(Math.min(width, 288) / Math.max(d.rows, d.columns))), i = model.get('picture'), boxes = [];
      for (let r = 0; r < d.rows; r++) for (let c = 0; c < d.columns; c++) boxes.push({ x: c * step, y: r * step, w: step, h: step, code: codeAt(i, r, c), at: [i, r, c] });
      return { height: d.rows * step, wide: d.columns * step, boxes };
    },
    paint: (ctx, o) => part(ctx, model.get('picture'), 0, 0, d.rows, d.columns, 0, 0, o.width, o.height),
    mark: (ctx, o) => {
      const step = o.boxes[0].w, [r, c] = model.get('place'), lit = o.boxes.filter(b => color(b.code));
      if (step > 12) { ctx.strokeStyle = 'rgba(128, 128, 128, .35)'; ctx.lineWidth = 1; ctx.beginPath(); for (let r = 1; r < d.rows; r++) { ctx.moveTo(0, r * step); ctx.lineTo(o.width, r * step); } for (let c = 1; c < d.columns; c++) { ctx.moveTo(c * step, 0); ctx.lineTo(c * step, o.height); } ctx.stroke(); }
      if (step >= 30) for (const b of o.boxes) {
        ctx.globalAlpha = .75;
        const [x, y] = [b.x + step / 2, b.y + step - 7];
        ctx.font = '10px system-ui, sans-serif'; ctx.textAlign = 'center'; ctx.textBaseline = 'middle'; ctx.lineWidth = 2.5; ctx.strokeStyle = '#000'; ctx.lineJoin = 'round';
        ctx.strokeText(b.code, x, y); ctx.fillStyle = '#fff'; ctx.fillText(b.code, x, y);
        ctx.globalAlpha = 1;
      }
      for (const b of lit) frame(ctx, { x: b.x + 2, y: b.y + 2, w: b.w - 4, h: b.h - 4 }, color(b.code), 2);
      const here = o.boxes[r * d.columns + c];
      if (here) frame(ctx, { x: here.x + 3, y: here.y + 3, w: here.w - 6, h: here.h - 6 }, color(here.code) ?? theme.line, 4);
      o.cursor = r * d.columns + c;
    } });

  const ordered = () => order === 'use' ? d.byUse : Array.from(d.counts.keys());
  const inAtlas = section('atlas', 'All codes', choice('Order of the codes', [['use', 'by use'], ['number', 'by number']], order, v => { order = v; panes.atlas.layout(); panes.usage.layout(); }));
  inAtlas.host.className = 'vx-scroll';
  inAtlas.host.style.height = '292px';
  inAtlas.note.textContent = `Each code as the mean of the real patches that chose it${d.used < d.K ? '; struck through: dead' : ''}`;
  pane('atlas', 'All codes, each as the mean of its patches: arrow keys move from code to code', inAtlas.host, {
    lay: width => {
      const room = width - 4, gap = 1, fit = Math.floor(Math.sqrt(room * 288 / d.K)) - gap, side = Math.min(28, Math.max(10, fit)), n = Math.max(1, Math.floor(room / (side + gap)));
      return { height: Math.ceil(d.K / n) * (side + gap) + 4, boxes: ordered().map((code, i) => ({ x: 3 + i % n * (side + gap), y: 3 + Math.floor(i / n) * (side + gap), w: side, h: side, code })) };
    },
    paint: (ctx, o) => { for (const b of o.boxes) mean(ctx, b.code, b.x, b.y, b.w); },
    mark: (ctx, o) => { for (const b of o.boxes) if (color(b.code)) frame(ctx, b, color(b.code), 2.5); else if (b.code === hovered) frame(ctx, b, theme.fg, 1.5); } });

  const inExemplars = section('exemplars', 'Who chose it');
  inExemplars.node.style.minHeight = '345px';
  pane('exemplars', 'Patches that chose the code, with what surrounds them: Enter goes to one', inExemplars.host, {
    lay: width => {
      const side = 66, gap = 6, across = Math.max(1, Math.floor((width + gap) / (side + gap))), down = 4, some = chosen().slice(0, COLORS.length).filter(k => d.counts[k]);
      const share = Math.floor(across * down / Math.max(1, some.length)), boxes = some.flatMap(k => d.spread(k).slice(0, share).map(i => ({ code: k, at: d.place(i) })));
      boxes.forEach((b, i) => Object.assign(b, { x: 2 + i % across * (side + gap), y: 2 + Math.floor(i / across) * (side + gap), w: side, h: side }));
      const of = some.reduce((s, k) => s + d.counts[k], 0);
      inExemplars.note.textContent = !boxes.length ? '' : `${boxes.length} of ${number(of)}, with what surrounds them; one from each picture first`;
      return { height: 4 + down * (side + gap), boxes };
    },
    paint: (ctx, o) => {
      o.canvas.dataset.shown = o.boxes.map(b => b.at.join(',')).join(' ');
      if (!o.boxes.length) text(ctx, chosen().length ? 'No patch of these pictures chose it: the code is dead here.' : 'Choose a code to see its patches.', 4, 20, { size: 13 });
      for (const b of o.boxes) {
        const [i, r, c] = b.at, s = b.w / 3, top = Math.max(0, r - 1), left = Math.max(0, c - 1), h = Math.min(d.rows, r + 2) - top, w = Math.min(d.columns, c + 2) - left;
        ctx.fillStyle = theme.fill; ctx.fillRect(b.x, b.y, b.w, b.h);
        part(ctx, i, top, left, h, w, b.x + (left - c + 1) * s, b.y + (top - r + 1) * s, w * s, h * s);
        frame(ctx, { x: b.x + s, y: b.y + s, w: s, h: s }, color(b.code) ?? COLORS[0], 2);
      }
    } });

  const inCard = section('card', 'The code');
  const spoken = make('p', { class: 'vx-hidden' });
  inCard.node.append(spoken);
  pane('card', 'The code: mean of its patches, decoded alone, where on the grid, in which classes', inCard.host, { live: false,
    lay: () => ({ height: 108 + 18 * Math.min(10, Math.max(1, d.classes.length)), boxes: [] }),
    paint: (ctx, o) => {
      const some = chosen(), k = some.at(-1), side = 76, step = Math.floor((o.width - side) / 2);
      ['mean', 'decoded alone', 'where'].forEach((t, j) => text(ctx, t, j * step, 8));
      if (k === undefined) { spoken.textContent = ''; return; }
      const where = new Uint32Array(d.cells), kinds = new Uint32Array(Math.max(1, d.classes.length));
      for (const c of some) for (const i of d.of(c)) { where[i % d.cells]++; if (d.classes.length) kinds[d.labels[Math.floor(i / d.cells)]]++; }
      if (d.counts[k]) mean(ctx, k, 0, 18, side); else { ctx.fillStyle = theme.fill; ctx.fillRect(0, 18, side, side); text(ctx, 'dead', side / 2, 18 + side / 2, { align: 'center' }); }
      if (alone) ctx.drawImage(alone, k % d.tiles * p, Math.floor(k / d.tiles) * p, p, p, step, 18, side, side);
      else { ctx.fillStyle = theme.fill; ctx.fillRect(step, 18, side, side); }
      const most = Math.max(1, ...where), cell = side / Math.max(d.rows, d.columns);
      where.forEach((v, i) => { ctx.fillStyle = theme.fill; ctx.fillRect(2 * step + i % d.columns * cell, 18 + Math.floor(i / d.columns) * cell, cell - 1, cell - 1);
        ctx.globalAlpha = v / most; ctx.fillStyle = COLORS[0]; ctx.fillRect(2 * step + i % d.columns * cell, 18 + Math.floor(i / d.columns) * cell, cell - 1, cell - 1); ctx.globalAlpha = 1; });
      const rank = [...kinds.keys()].sort((a, b) => kinds[b] - kinds[a] || a - b).slice(0, 10), top = Math.max(1, ...kinds);
      if (d.classes.length) rank.forEach((c, j) => {
        const y = 113 + 18 * j;
        text(ctx, d.classes[c], 0, y, { fill: kinds[c] ? theme.fg : theme.soft });
        ctx.fillStyle = COLORS[0]; ctx.globalAlpha = .75; ctx.fillRect(96, y - 6, (o.width - 140) * kinds[c] / top, 11); ctx.globalAlpha = 1;
        text(ctx, number(kinds[c]), 100 + (o.width - 140) * kinds[c] / top, y);
      });
      spoken.textContent = `Nearest codes of ${k}: ${[...d.near.subarray(k * d.nearest, (k + 1) * d.nearest)].join(', ')}. ` + (d.classes.length ? `Patches by class: ${rank.map(c => `${d.classes[c]} ${kinds[c]}`).join(', ')}.` : '');
    } });
  const closest = make('div');
  inCard.node.append(closest);
  closest.before(inCard.note);
  pane('near', 'Its nearest codes, the nearest first', closest, {
    lay: width => {
      const k = chosen().at(-1), side = Math.min(34, Math.floor(width / d.nearest) - 3), near = k === undefined ? [] : [...d.near.subarray(k * d.nearest, (k + 1) * d.nearest)];
      inCard.note.textContent = k === undefined ? '' : `Nearest to ${k}`;
      return { height: side + 18, boxes: near.map((code, i) => ({ x: 2 + i * (side + 3), y: 2, w: side - 2, h: side - 2, code })) };
    },
    paint: (ctx, o) => { for (const b of o.boxes) { mean(ctx, b.code, b.x, b.y, b.w); text(ctx, b.code, b.x + b.w / 2, b.y + b.h + 9, { size: 10, align: 'center' }); } },
    mark: (ctx, o) => { for (const b of o.boxes) if (color(b.code)) frame(ctx, b, color(b.code), 2); } });

  const about = { vectors: 'Near each other: codes that mean nearly the same to the decoder', neighbours: 'Near each other: codes that keep the same company in pictures' };
  const inMap = section('map', 'A map', choice('What the map goes by', [['vectors', 'by code vectors'], ['neighbours', 'by neighbours']], which, v => { which = v; panes.map.cursor = -1; inMap.note.textContent = about[v]; panes.map.layout(); }));
  inMap.note.textContent = about[which];
  pane('map', 'Map of the codes: arrow keys go to the next code, a drag chooses many', inMap.host, {
    lay: width => {
      const height = Math.min(340, Math.max(260, width)), side = d.K > 3000 ? 5 : 9, at = d.maps[which];
      const boxes = [...d.byUse].reverse().map(code => ({ x: 3 + at[2 * code] / 65535 * (width - side - 6), y: 3 + at[2 * code + 1] / 65535 * (height - side - 6), w: side, h: side, code }));
      return { height, boxes };
    },
    paint: (ctx, o) => { ctx.fillStyle = theme.fill; ctx.fillRect(0, 0, o.width, o.height); for (const b of o.boxes) mean(ctx, b.code, b.x, b.y, b.w); },
    mark: (ctx, o) => {
      const k = chosen().at(-1), near = new Set(k === undefined || chosen().length > 1 ? [] : d.near.subarray(k * d.nearest, (k + 1) * d.nearest));
      for (const b of o.boxes) if (near.has(b.code) && !color(b.code)) frame(ctx, b, COLORS[1], 1.5);
      const size = chosen().length > COLORS.length ? 0 : 6;
      for (const b of o.boxes) if (color(b.code)) { const big = { x: b.x - size / 2, y: b.y - size / 2, w: b.w + size, h: b.h + size }; mean(ctx, b.code, big.x, big.y, big.w); frame(ctx, big, color(b.code), 2); }
      for (const b of o.boxes) if (b.code === hovered) frame(ctx, b, theme.fg, 1.5);
      if (brush) { const [[x, y], [u, v]] = [brush.from, brush.to]; ctx.strokeStyle = COLORS[0]; ctx.setLineDash([4, 3]); ctx.strokeRect(x, y, u - x, v - y); ctx.setLineDash([]); }
    } });

  const logBox = make('input', { type: 'checkbox' });
  logBox.checked = log;
  logBox.addEventListener('change', () => { log = logBox.checked; panes.usage.repaint(); });
  const inUsage = section('usage', 'How often', make('label', {}, logBox, 'log scale'));
  const fair = 1 - (1 - 1 / d.K) ** d.total;
  inUsage.note.textContent = `${number(d.used)} of ${number(d.K)} codes in use, ${number(d.K - d.used)} dead (a fair draw of ${number(d.total)} patches: ${(100 * fair).toFixed(0)}% in use); perplexity ${number(Math.round(d.perplexity))}`;
  const tops = Math.max(...d.counts);
  const height = v => log ? Math.max(0, Math.log(v / .5) / Math.log(tops / .5)) : v / tops;
  pane('usage', 'How often each code is chosen: left and right arrow go to the next code', inUsage.host, {
    lay: width => {
      const left = 44, w = (width - left - 6) / d.K;
      return { height: d.history.length ? 190 : 300, boxes: ordered().map((code, i) => ({ x: left + i * w, y: 6, w, h: (d.history.length ? 190 : 300) - 28, code })) };
    },
    paint: (ctx, o) => {
      const low = o.height - 22, high = low - 6, left = 44;
      ctx.fillStyle = COLORS[1];
      for (const b of o.boxes) { const h = high * height(d.counts[b.code]); ctx.fillRect(b.x, low - h, Math.max(b.w, .6), h); }
      const ticks = log ? [1, 10, 100, 1000, 10000, 100000].filter(v => v <= tops) : [0, tops / 2, tops].map(Math.round);
      for (const v of ticks) { const y = low - high * height(v); text(ctx, number(v), left - 6, y, { size: 11, align: 'right' }); ctx.fillStyle = theme.line; ctx.globalAlpha = .4; ctx.fillRect(left, y, o.width - left - 6, 1); ctx.globalAlpha = 1; }
      const y = low - high * height(d.total / d.K);
      ctx.strokeStyle = theme.fg; ctx.setLineDash([2, 3]); ctx.beginPath(); ctx.moveTo(left, y); ctx.lineTo(o.width - 6, y); ctx.stroke(); ctx.setLineDash([]);
      text(ctx, 'all alike', o.width - 8, y - 8, { size: 11, align: 'right', fill: theme.fg });
      text(ctx, order === 'use' ? 'codes, most frequent first' : 'codes by number', left + (o.width - left) / 2, o.height - 8, { size: 11, align: 'center' });
    },
    mark: (ctx, o) => { for (const b of o.boxes) if (color(b.code) || b.code === hovered) {
      const y = o.height - 22 - (o.height - 28) * height(d.counts[b.code]);
      ctx.fillStyle = color(b.code) ?? theme.fg; ctx.beginPath(); ctx.arc(b.x + b.w / 2, y, color(b.code) ? 5 : 3, 0, 7); ctx.fill();
    } } });
  if (d.history.length) {
    const host = make('div');
    inUsage.node.append(host);
    pane('training', `Over training: ${(100 * d.history.at(-1)[1]).toFixed(0)}% of the codes in use at the end`, host, { live: false,
      lay: () => ({ height: 118, boxes: [] }),
      paint: (ctx, o) => {
        const left = 44, right = o.width - 44, low = 96, last = d.history.at(-1)[0], top = Math.max(1, ...d.history.map(h => h[2]));
        const line = (j, scale, stroke) => { ctx.strokeStyle = stroke; ctx.lineWidth = 1.5; ctx.beginPath(); d.history.forEach((h, i) => { const x = left + h[0] / last * (right - left), y = low - (low - 24) * h[j] / scale; i ? ctx.lineTo(x, y) : ctx.moveTo(x, y); }); ctx.stroke(); };
        ctx.fillStyle = theme.line; ctx.fillRect(left, low, right - left, 1);
        line(1, 1, COLORS[1]); line(2, top, COLORS[0]);
        text(ctx, 'share of codes used in an epoch', left, 10, { size: 11, fill: COLORS[1] }); text(ctx, 'perplexity', o.width, 10, { size: 11, fill: COLORS[0], align: 'right' });
        text(ctx, '100%', left - 6, 24, { size: 11, align: 'right' }); text(ctx, '0', left - 6, low, { size: 11, align: 'right' }); text(ctx, number(Math.round(top)), right + 6, 24, { size: 11 });
        text(ctx, `training steps, up to ${number(last)}`, (left + right) / 2, 110, { size: 11, align: 'center' });
      } });
  }

  const inSheet = section('sheet', 'All pictures');
  pane('sheet', 'All pictures, with every patch of the chosen codes lit up', inSheet.host, {
    lay: width => {
      const across = d.columns * p, side = Math.min(64, Math.max(32, across)), tall = side * d.rows / d.columns, n = Math.max(1, Math.floor((width + 2) / (side + 2))), w = side / d.columns, boxes = [];
      for (let i = 0; i < d.n; i++) for (let r = 0; r < d.rows; r++) for (let c = 0; c < d.columns; c++)
        boxes.push({ x: i % n * (side + 2) + c * w, y: Math.floor(i / n) * (tall + 2) + r * w, w, h: w, code: codeAt(i, r, c), at: [i, r, c] });
      return { height: Math.ceil(d.n / n) * (tall + 2), boxes };
    },
    paint: (ctx, o) => { ctx.imageSmoothingEnabled = true; for (let i = 0; i < d.n; i++) { const b = o.boxes[i * d.cells]; part(ctx, i, 0, 0, d.rows, d.columns, b.x, b.y, b.w * d.columns, b.h * d.rows); } },
    mark: (ctx, o) => {
      const some = chosen();
      o.canvas.dataset.shown = some.flatMap(k => [...d.of(k)]).join(' ');       // for those who look without eyes: tests, and the clock
      inSheet.note.textContent = some.length ? `${number(some.reduce((s, k) => s + d.counts[k], 0))} patches lit; click one to go there` : 'Click any patch';
      if (some.length) {
        ctx.globalAlpha = .62; ctx.fillStyle = theme.bg; ctx.fillRect(0, 0, o.width, o.height); ctx.globalAlpha = 1;
        for (const k of some) for (const i of d.of(k)) { const b = o.boxes[i]; part(ctx, ...b.at, 1, 1, b.x, b.y, b.w, b.h); }
        for (const k of some) for (const i of d.of(k)) { const b = o.boxes[i]; frame(ctx, b, color(k), some.length > COLORS.length ? 1 : 2); }
      }
      const b = o.boxes[model.get('picture') * d.cells];
      frame(ctx, { x: b.x, y: b.y, w: b.w * d.columns, h: b.h * d.rows }, theme.fg, 1);
    } });

  // ---- everything together ----
  function titles() {
    const i = model.get('picture'), some = chosen();
    inPicture.heading.textContent = `Picture ${i}${className(i) ? ' · ' + className(i) : ''}`;
    inPicture.note.textContent = `${d.rows}×${d.columns} codes, of ${p}×${p} pixels each`;
    inCard.heading.textContent = some.length ? `Code ${some.at(-1)}${some.length > 1 ? ` and ${some.length - 1} more` : ''}` : 'The code';
    inExemplars.heading.textContent = some.length ? `Who chose ${some.length > 1 ? 'them' : some[0]}` : 'Who chose it';
  }
  function selected() {
    say.textContent = d.describe(chosen());
    titles();
    for (const id of ['exemplars', 'near']) { panes[id].cursor = -1; panes[id].layout(); }
    for (const o of Object.values(panes)) o === panes.card ? o.repaint() : o.draw();
  }
  function moved() { titles(); panes.picture.layout(); panes.sheet.draw(); }
  function dress() {
    const light = document.body.dataset.jpThemeLight, dark = light ? light === 'false' : window.matchMedia('(prefers-color-scheme: dark)').matches;
    root.classList.toggle('dark', dark);
    const style = getComputedStyle(root);
    for (const k of ['bg', 'fg', 'soft', 'line', 'fill']) theme[k] = style.getPropertyValue(`--${k}`).trim();
    for (const o of Object.values(panes)) o.repaint();
  }
  async function decoded() { alone = await sprite(model.get('alone')); if (alone && !gone) for (const id of ['card', 'atlas', 'map', 'near']) panes[id].repaint(); }

  root.addEventListener('keydown', key);
  undo.push(() => root.removeEventListener('keydown', key));
  function key(e) {
    if (e.key === 'Escape') { brush = null; put({ selection: [] }); e.stopPropagation(); }
    else if (e.key === '/' && e.target.tagName !== 'INPUT') { ask.focus(); ask.select(); e.preventDefault(); e.stopPropagation(); }
  }
  function asked() {
    const k = Number(ask.value);
    if (ask.value === '' || !Number.isInteger(k) || k < 0 || k >= d.K) say.textContent = `There is no code ${ask.value || 'without a number'}: ask for 0 to ${number(d.K - 1)}.`;
    else select([k]);
  }
  ask.addEventListener('keydown', e => { if (e.key === 'Enter') { asked(); e.preventDefault(); } });
  clear.addEventListener('click', () => put({ selection: [] }));
  previous.addEventListener('click', () => turn(-1));
  following.addEventListener('click', () => turn(1));
  save.addEventListener('click', () => snapshot(root, theme).toBlob(blob => {
    const link = make('a', { href: URL.createObjectURL(blob), download: `codes-${chosen().slice(0, 4).join('-') || 'none'}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }));

  listen('change:selection', selected);
  listen('change:picture change:place', moved);
  listen('change:alone', decoded);
  const watch = new ResizeObserver(() => requestAnimationFrame(() => { if (!gone) everywhere(); })), lamp = new MutationObserver(dress), sun = window.matchMedia('(prefers-color-scheme: dark)');
  watch.observe(grid);
  lamp.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light', 'data-jp-theme-name'] });
  sun.addEventListener('change', dress);
  undo.push(() => { watch.disconnect(); lamp.disconnect(); sun.removeEventListener('change', dress); });
  dress();
  everywhere();
  selected();
  decoded();
  root.dataset.ready = 'true';
}

function snapshot(root, theme) {                                                // what is seen, on an opaque ground
  const scale = Math.max(1, window.devicePixelRatio || 1), frame = root.getBoundingClientRect(), out = make('canvas', { width: Math.round(frame.width * scale), height: Math.round(frame.height * scale) });
  const ctx = out.getContext('2d');
  ctx.fillStyle = theme.bg;
  ctx.fillRect(0, 0, out.width, out.height);
  ctx.scale(scale, scale);
  for (const node of root.querySelectorAll('canvas, h3, .vx-note, .vx-say')) {
    const r = node.getBoundingClientRect(), clip = node.parentNode.getBoundingClientRect(), x = r.left - frame.left, y = r.top - frame.top;
    ctx.save();
    ctx.beginPath(); ctx.rect(clip.left - frame.left - 3, clip.top - frame.top - 3, clip.width + 6, clip.height + 6); ctx.clip();
    if (node.tagName === 'CANVAS') ctx.drawImage(node, x, y, r.width, r.height);
    else {
      const style = getComputedStyle(node), size = parseFloat(style.fontSize);
      ctx.font = `${style.fontWeight} ${size}px system-ui, sans-serif`; ctx.fillStyle = style.color; ctx.textBaseline = 'top';
      let line = '', top = y + 2;
      for (const word of node.textContent.split(' ')) { if (line && ctx.measureText(`${line} ${word}`).width > r.width) { ctx.fillText(line, x, top); line = word; top += size * 1.4; } else line = line ? `${line} ${word}` : word; }
      ctx.fillText(line, x, top);
    }
    ctx.restore();
  }
  return out;
}

export default { render };
