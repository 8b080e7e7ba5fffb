// Two pictures of one size in one frame, and a divider between them: drag it, or focus the frame and use the arrow keys. No kernel is asked.
// Synced with Wipe; its docments say what the traits are.
const MOVES = { ArrowLeft: -.02, ArrowDown: -.02, ArrowRight: .02, ArrowUp: .02, PageDown: -.1, PageUp: .1, Home: -1, End: 1 };

function render({ model, el }) {
  const make = (tag, name, parent) => parent.appendChild(Object.assign(document.createElement(tag), { className: name }));
  const frame = make('div', 'vim-wipe', el), after = make('img', '', frame), before = make('img', '', frame);
  const left = make('span', 'vim-wipe-name', frame), right = make('span', 'vim-wipe-name', frame), divider = make('div', 'vim-wipe-divider', frame);
  const putBefore = place(before), putAfter = place(after);

  before.alt = after.alt = '';                   // the frame speaks for both
  left.style.left = right.style.right = '6px';
  frame.tabIndex = 0;
  frame.dataset.lmSuppressShortcuts = 'true';    // JupyterLab's shortcuts keep off
  for (const [key, value] of [['role', 'slider'], ['aria-valuemin', 0], ['aria-valuemax', 100]]) frame.setAttribute(key, value);

  function divide() {
    const share = model.get('share'), [one, other] = model.get('names');
    before.style.clipPath = `inset(0 ${100 - share * 100}% 0 0)`;
    divider.style.left = `${share * 100}%`;
    [left.textContent, right.textContent] = [one, other];
    left.hidden = share < .05;
    right.hidden = share > .95;
    frame.setAttribute('aria-label', model.get('name'));
    frame.setAttribute('aria-valuenow', Math.round(share * 100));
    frame.setAttribute('aria-valuetext', `${Math.round(share * 100)} percent ${one}, the rest ${other}`);
  }

  function size() {
    const [w, h] = sizeOf(model.get('before')), step = model.get('side') / Math.max(w, h);
    if (!w) return;
    frame.style.width = `${w * step}px`;
    frame.style.aspectRatio = `${w} / ${h}`;
  }

  function move(share) {
    model.set('share', Math.max(0, Math.min(1, share)));
    model.save_changes();
  }

  const drag = event => { const box = frame.getBoundingClientRect(); move((event.clientX - box.left) / box.width); };
  frame.addEventListener('pointerdown', event => { frame.focus(); frame.setPointerCapture(event.pointerId); drag(event); });
  frame.addEventListener('pointermove', event => { if (event.buttons & 1) drag(event); });
  frame.addEventListener('keydown', event => {
    const step = MOVES[event.key];
    if (step === undefined) return;
    move(Math.round((model.get('share') + step) * 100) / 100);
    event.preventDefault();
    event.stopPropagation();
  });

  const deaf = hear(model, [['before side', size], ['before', () => putBefore(model.get('before'))], ['after', () => putAfter(model.get('after'))], ['share names name', divide]]);
  return () => { deaf(); putBefore(null); putAfter(null); };       // the view goes, the model may stay
}

export default { render };
