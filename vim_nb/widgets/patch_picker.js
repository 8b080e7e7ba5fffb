// A picture over which a grid of patches lies: click one, drag, or focus the picture and use the arrow keys. In the mode "paint" a press collects the patches that it runs over.
// Synced with PatchPicker; its docments say what the traits are. All views of one model show the same; what the pointer hovers over is each view's own.
const ORANGE = '#ff7f0e', WHITE = '#ffffff', BLACK = '#000000', PAUSE = 40;      // PAUSE: ms between two messages of one stroke
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const RAMP = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];   // from dark to bright, as matplotlib's inferno

function heatColor(share) {
  const at = Math.max(0, Math.min(1, share)) * (RAMP.length - 1), i = Math.min(Math.floor(at), RAMP.length - 2), t = at - i;
  return `rgb(${RAMP[i].map((low, k) => Math.round(low + (RAMP[i + 1][k] - low) * t)).join(' ')})`;
}

function between([r0, c0], [r1, c1]) {           // patches on the way, without the first: a fast hand skips some
  const n = Math.max(Math.abs(r1 - r0), Math.abs(c1 - c0)), on = (a, b, i) => Math.round(a + (b - a) * i / n);
  return Array.from({ length: n }, (_, i) => [on(r0, r1, i + 1), on(c0, c1, i + 1)]);
}

function render({ model, el }) {
  const make = (tag, name) => el.appendChild(Object.assign(document.createElement(tag), { className: name }));
  const canvas = make('canvas', 'vim-patch-picker'), title = make('div', 'vim-patch-line'), legend = make('div', 'vim-patch-line'), said = make('div', 'vim-aside');
  const ctx = canvas.getContext('2d'), img = new Image(), put = place(img);
  let hover = null, pen = null, stroke = [], timer = null;      // pen: where the stroke's last patch is, while the button is down

  canvas.tabIndex = 0;
  canvas.setAttribute('role', 'application');
  canvas.dataset.lmSuppressShortcuts = 'true';   // JupyterLab's shortcuts keep off
  title.setAttribute('aria-hidden', 'true');     // what is hovered over would be read without end: `said` speaks
  said.setAttribute('role', 'status');

  // ---- the picture ----

  function size() {
    const [w, h] = sizeOf(model.get('picture')), [rows, columns] = model.get('grid'), [width, height] = w ? [w, h] : [columns, rows];
    const scale = model.get('side') ? model.get('side') / Math.max(width, height) : 1, dense = window.devicePixelRatio || 1;
    canvas.style.width = `${Math.round(width * scale)}px`;
    canvas.width = Math.round(width * scale * dense);
    canvas.height = Math.round(height * scale * dense);
  }

  function frame([row, column], color, width) {  // with a thin line inside it that stands out where the color does not
    const [rows, columns] = model.get('grid'), h = canvas.height / rows, w = canvas.width / columns, unit = Math.max(1, Math.round(window.devicePixelRatio || 1));
    for (const [style, thick, inset] of [[color, width * unit, 0], [BLACK, unit, width * unit]]) {
      const d = inset + thick / 2;
      ctx.strokeStyle = style;
      ctx.lineWidth = thick;
      ctx.strokeRect(column * w + d, row * h + d, w - 2 * d, h - 2 * d);
    }
  }

  function heat() {
    const [rows, columns] = model.get('grid'), h = canvas.height / rows, w = canvas.width / columns;
    ctx.globalAlpha = .72;
    model.get('heat').forEach((share, i) => {
      ctx.fillStyle = heatColor(share);
      ctx.fillRect(i % columns * w, Math.floor(i / columns) * h, w, h);
    });
    ctx.globalAlpha = 1;
  }

  function dashes(y) {
    for (const [color, offset] of [[WHITE, 0], [BLACK, 6]]) {
      ctx.setLineDash([6, 6]);
      ctx.lineDashOffset = offset;
      ctx.strokeStyle = color;
      ctx.lineWidth = 3;
      ctx.beginPath();
      ctx.moveTo(0, y);
      ctx.lineTo(canvas.width, y);
      ctx.stroke();
    }
    ctx.setLineDash([]);
  }

  function draw() {
    const line = model.get('line');
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    ctx.imageSmoothingEnabled = canvas.width < img.naturalWidth;
    if (img.complete && img.naturalWidth) ctx.drawImage(img, 0, 0, canvas.width, canvas.height);
    heat();
    if (line >= 0) dashes(Math.max(1.5, Math.min(canvas.height - 1.5, line * canvas.height / model.get('grid')[0])));
    for (const at of model.get('marks')) frame(at, ORANGE, 2);
    if (hover) frame(hover, WHITE, 1);
    frame(model.get('chosen'), ORANGE, 4);
  }

  // ---- its words ----

  const titleOf = ([row, column]) => model.get('titles')[row * model.get('grid')[1] + column] ?? '';

  function words() {
    const [row, column] = model.get('chosen'), chosen = row < 0 ? 'Nothing is chosen' : `Row ${row + 1}, column ${column + 1} is chosen`, space = model.get('mode') === 'paint' ? ', Space paints' : '';
    title.hidden = !model.get('titles').length;
    title.textContent = titleOf(hover ?? model.get('chosen'));
    canvas.setAttribute('aria-label', `${model.get('name')}. ${chosen}. Arrow keys choose another${space}.`);
  }

  function explain() {
    legend.hidden = !model.get('heat').length;
    legend.innerHTML = 'low<span class="vim-patch-ramp"></span>high: <span></span>';
    legend.firstElementChild.style.background = `linear-gradient(to right, ${[0, 1, 2, 3, 4].map(i => heatColor(i / 4)).join(', ')})`;
    legend.lastElementChild.textContent = model.get('heat_name');
  }

  const say = what => { const [row, column] = model.get('chosen'); said.textContent = `${what} row ${row + 1}, column ${column + 1}. ${titleOf([row, column])}`; };

  // ---- the hand ----

  const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));

  function choose([row, column]) {
    const [rows, columns] = model.get('grid'), [r, c] = model.get('chosen');
    [row, column] = [clamp(row, rows), clamp(column, columns)];
    if (row === r && column === c) return false;
    model.set('chosen', [row, column]);
    model.save_changes();
    return true;
  }

  function under(event) {
    const box = canvas.getBoundingClientRect(), [rows, columns] = model.get('grid');
    return [clamp(Math.floor((event.clientY - box.top) / box.height * rows), rows), clamp(Math.floor((event.clientX - box.left) / box.width * columns), columns)];
  }

  function send() {
    clearTimeout(timer);
    timer = null;
    model.set('stroke', [...stroke]);
    model.save_changes();
  }

  function press(at) {                           // presses of which the kernel has not heard yet go with this one: only the newest message is kept while it is busy
    stroke = [...(model.get('heard') < model.get('press') ? model.get('stroke') : []), at];
    model.set('press', model.get('press') + 1);
    model.set('chosen', at);
    send();
  }

  function paint(at) {
    if (at[0] === pen[0] && at[1] === pen[1]) return;
    stroke.push(...between(pen, at));
    pen = at;
    timer ??= setTimeout(send, PAUSE);
  }

  function lift() {
    if (timer) send();
    pen = null;
  }

  const on = (name, act) => canvas.addEventListener(name, act);
  on('pointerdown', event => {
    if (event.button) return;
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    if (model.get('mode') === 'paint') press(pen = under(event));
    else choose(under(event));
  });
  on('pointermove', event => {
    hover = under(event);
    if (pen) paint(hover);
    else if (event.buttons & 1) choose(hover);
    draw();
    words();
  });
  for (const name of ['pointerup', 'pointercancel']) on(name, lift);
  on('pointerleave', () => { hover = null; draw(); words(); });
  on('keydown', event => {
    const step = ARROWS[event.key], [row, column] = model.get('chosen'), painted = event.key === ' ' && model.get('mode') === 'paint';
    if (!step && !painted) return;
    event.preventDefault();
    event.stopPropagation();
    if (painted) press([row, column]);
    else choose([row + step[0], column + step[1]]);
    say(painted ? 'Painted' : 'Chosen');
  });

  img.addEventListener('load', () => { draw(); canvas.dataset.shown = Number(canvas.dataset.shown ?? 0) + 1; });      // so that a test knows
  const deaf = hear(model, [['picture grid side', size], ['picture', () => put(model.get('picture'))], ['heat heat_name', explain],
                            ['grid chosen titles name mode', words], ['picture grid side chosen marks heat line', draw]]);
  return () => { deaf(); lift(); put(null); };   // the view goes, the model may stay
}

export default { render };
