// A slider with a name: a native range beside a number field, so that hand, keyboard and screen reader find what they know.
// Synced with Dial: value, low, high, step, name, title, live, disabled.

function render({ model, el }) {
  const root = document.createElement('div'), label = document.createElement('label'), range = document.createElement('input'), number = document.createElement('input');
  root.className = 'vim-dial';
  for (const input of [range, number]) input.dataset.lmSuppressShortcuts = 'true';   // JupyterLab's shortcuts keep off: its own arrows and Enter would win
  range.type = 'range';
  number.type = 'number';
  label.htmlFor = range.id = `vim-dial-${Math.random().toString(36).slice(2)}`;
  root.append(label, range, number);
  el.appendChild(root);

  const tidy = v => Number(v.toFixed(6));

  function shape() {
    label.textContent = model.get('name');
    root.title = model.get('title');
    number.setAttribute('aria-label', `${model.get('name')}, as a number`);
    range.min = model.get('low');
    range.max = model.get('high');
    for (const input of [range, number]) { input.step = model.get('step'); input.disabled = model.get('disabled'); }
  }

  function show() { range.value = model.get('value'); number.value = tidy(model.get('value')); }

  function send(input) {
    if (input.value !== '') {                    // an empty field goes back to what it was
      model.set('value', Number(input.value));
      model.save_changes();
    }
    show();
  }

  range.addEventListener('input', () => { if (model.get('live')) send(range); else number.value = tidy(Number(range.value)); });
  for (const input of [range, number]) input.addEventListener('change', () => send(input));
  number.addEventListener('keydown', e => { if (e.key === 'Enter') send(number); });
  return hear(model, [['name title low high step disabled', shape], ['low high step value', show]]);
}

export default { render };
