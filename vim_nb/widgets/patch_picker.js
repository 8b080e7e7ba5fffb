// A picture whose patches can be chosen: click, drag, or focus it and use the arrow keys.
// Synced with PatchPicker: picture (PNG bytes), grid [rows, columns], chosen [row, column], marks [[row, column], ...].
const SIDE = 288, ORANGE = '#ff7f0e', WHITE = '#ffffff';

function render({ model, el }) {
  const canvas = document.createElement('canvas'), ctx = canvas.getContext('2d'), img = new Image();
  const clamp = (v, n) => Math.max(0, Math.min(n - 1, v));
  let hover = null, url = null;

  canvas.className = 'vim-patch-picker';
  canvas.tabIndex = 0;
  canvas.dataset.lmSuppressShortcuts = 'true';   // JupyterLab's shortcuts keep off
  canvas.style.cssText = 'cursor: crosshair; touch-action: none; max-width: 100%;';
  el.appendChild(canvas);

  function frame([row, column], color, width) {
    const [rows, columns] = model.get('grid'), h = canvas.height / rows, w = canvas.width / columns;
    ctx.strokeStyle = color;
    ctx.lineWidth = width;
    ctx.strokeRect(column * w + width / 2, row * h + width / 2, w - width, h - width);
  }

  function draw() {
    const [rows, columns] = model.get('grid'), [row, column] = model.get('chosen');
    const step = Math.max(1, Math.round(SIDE / Math.max(rows, columns)));
    canvas.width = columns * step;
    canvas.height = rows * step;
    ctx.imageSmoothingEnabled = false;
    if (img.complete && img.naturalWidth) ctx.drawImage(img, 0, 0, canvas.width, canvas.height);
    for (const place of model.get('marks')) frame(place, ORANGE, 2);
    if (hover) frame(hover, WHITE, 1);
    frame([row, column], ORANGE, 4);
    canvas.setAttribute('aria-label', `Picture of ${rows} by ${columns} patches; row ${row + 1}, column ${column + 1} is chosen. Arrow keys choose another.`);
  }

  function load() {
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(new Blob([model.get('picture')], { type: 'image/png' }));
    img.src = url;
  }

  function choose(row, column) {
    const [rows, columns] = model.get('grid'), [r, c] = model.get('chosen');
    row = clamp(row, rows);
    column = clamp(column, columns);
    if (row === r && column === c) return;
    model.set('chosen', [row, column]);
    model.save_changes();
  }

  function under(event) {
    const box = canvas.getBoundingClientRect(), [rows, columns] = model.get('grid');
    return [clamp(Math.floor((event.clientY - box.top) / box.height * rows), rows),
            clamp(Math.floor((event.clientX - box.left) / box.width * columns), columns)];
  }

  canvas.addEventListener('pointerdown', event => { canvas.focus(); choose(...under(event)); });
  canvas.addEventListener('pointermove', event => {
    hover = under(event);
    if (event.buttons & 1) choose(...hover);
    draw();
  });
  canvas.addEventListener('pointerleave', () => { hover = null; draw(); });
  canvas.addEventListener('keydown', event => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    const [row, column] = model.get('chosen');
    choose(row + step[0], column + step[1]);
    event.preventDefault();
    event.stopPropagation();
  });

  const redraw = 'change:grid change:chosen change:marks';
  img.addEventListener('load', draw);
  model.on('change:picture', load);
  model.on(redraw, draw);
  load();
  return () => {                                 // the view goes, the model may stay
    model.off('change:picture', load);
    model.off(redraw, draw);
    if (url) URL.revokeObjectURL(url);
  };
}

export default { render };
