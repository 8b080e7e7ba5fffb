// Put behind explorer.js in a page without a kernel: a model that tells whoever listens what was set, and keeps the choice in the address, so that it can be sent to somebody.
const held = { problem: '', ...JSON.parse(document.getElementById('state').textContent) }, told = {};
const wanted = location.hash.slice(1).split(',').filter(Boolean).map(Number).filter(k => Number.isInteger(k) && k >= 0 && k < held.data.num_codes);
const model = {
  get: name => held[name],
  set(name, value) { held[name] = value; for (const f of [...told[`change:${name}`] ?? []]) f(); },
  on(events, f) { for (const e of events.split(' ')) (told[e] ??= new Set()).add(f); },
  off(events, f) { for (const e of events.split(' ')) told[e]?.delete(f); },
  save_changes() { if (held.selection.length < 20) history.replaceState(null, '', `#${held.selection.join(',')}`); },
};
if (wanted.length) {
  const [rows, columns] = held.data.grid, first = words(held.data.codes).indexOf(wanted[0]);
  held.selection = wanted;
  if (first >= 0) Object.assign(held, { picture: Math.floor(first / (rows * columns)), place: [Math.floor(first / columns) % rows, first % columns] });
}
render({ model, el: document.getElementById('explorer') });
