// A PNG in a box that has the newest picture's size from the first moment on: nothing below it jumps.
// Synced with Still: png (bytes), alt, width and height in CSS pixels (null: the picture's own, or what keeps its shape).

function render({ model, el }) {
  const img = document.createElement('img'), put = place(img);
  img.className = 'vim-still';
  img.decoding = 'sync';
  el.appendChild(img);

  function size() {
    const [w, h] = sizeOf(model.get('png')), width = model.get('width'), height = model.get('height');
    const box = [width ?? (height && h ? Math.round(height * w / h) : w), height ?? (width && w ? Math.round(width * h / w) : h)];
    [img.width, img.height] = box;
    img.style.aspectRatio = box.join(' / ');     // or the old picture's, until the new one is decoded
    img.alt = model.get('alt');
  }

  const deaf = hear(model, [['png width height alt', size], ['png', () => put(model.get('png'))]]);
  return () => { deaf(); put(null); };           // the view goes, the model may stay
}

export default { render };
