// What the widgets' scripts share; Python puts this text before theirs.

function sizeOf(png) {                           // [width, height] in pixels, from the file's head: known before the picture is decoded
  return png.byteLength < 24 ? [0, 0] : [png.getUint32(16), png.getUint32(20)];
}

function place(picture) {                        // a function that puts a PNG into an <img> and frees the one before; without a PNG: frees only
  let url = null;
  return png => {
    const old = url;
    url = png && png.byteLength ? URL.createObjectURL(new Blob([png], { type: 'image/png' })) : null;
    if (url) picture.src = url;
    else picture.removeAttribute('src');
    if (old) URL.revokeObjectURL(old);
  };
}

function hear(model, table) {                    // table: [names of traits, what to do]; returns what undoes it
  const rows = table.map(([names, act]) => [names.split(' ').map(name => `change:${name}`).join(' '), () => act()]);
  for (const [events, act] of rows) model.on(events, act);
  for (const [, act] of rows) act();
  return () => { for (const [events, act] of rows) model.off(events, act); };
}
