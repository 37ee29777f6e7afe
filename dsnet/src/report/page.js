// Tips: what a drawing tells in its titles, and the classes under the mouse in pictures of samples.
(() => {
  const tip = document.body.appendChild(Object.assign(document.createElement('div'), {id: 'tip', hidden: true}));
  for (const title of document.querySelectorAll('svg.chart title')) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  const show = (text, event) => {
    tip.textContent = text;
    tip.hidden = false;
    const right = event.clientX + 14 + tip.offsetWidth < innerWidth;
    const below = event.clientY + 14 + tip.offsetHeight < innerHeight;
    tip.style.left = (right ? event.clientX + 14 : Math.max(0, event.clientX - 14 - tip.offsetWidth)) + 'px';
    tip.style.top = (below ? event.clientY + 14 : Math.max(0, event.clientY - 14 - tip.offsetHeight)) + 'px';
  };
  // Label maps come as runs: a letter for the class, its length in base 36 (1 where there is none).
  const maps = new WeakMap();
  const layers = strip => {
    if (!maps.has(strip)) {
      const size = +strip.dataset.width * +strip.dataset.height;
      maps.set(strip, JSON.parse(strip.dataset.layers).map(([name, runs]) => {
        const ids = new Uint8Array(size);
        let at = 0;
        for (const [, id, length] of runs.matchAll(/([^0-9a-z])([0-9a-z]*)/g)) {
          const end = at + (length ? parseInt(length, 36) : 1);
          ids.fill(id.charCodeAt(0) - 0xC0, at, end);
          at = end;
        }
        return [name, ids];
      }));
    }
    return maps.get(strip);
  };
  const point = (strip, x, y) => {
    for (const dot of strip.querySelectorAll('b')) {
      const image = dot.parentNode.querySelector('img');
      dot.style.display = 'block';
      dot.style.left = image.offsetLeft + x * image.clientWidth + 'px';
      dot.style.top = image.offsetTop + y * image.clientHeight + 'px';
    }
  };
  let pointed = null;
  const move = event => {
    const target = event.target instanceof Element ? event.target : document.body;
    const picture = target.closest('.picture');
    const strip = picture && picture.closest('.strip');
    if (pointed && pointed !== strip) {
      for (const dot of pointed.querySelectorAll('b')) dot.style.display = 'none';
    }
    pointed = strip;
    if (strip && strip.dataset.layers) {
      const box = picture.querySelector('img').getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
      if (x >= 0 && x < 1 && y >= 0 && y < 1) {
        const width = +strip.dataset.width, height = +strip.dataset.height;
        const at = Math.floor(y * height) * width + Math.floor(x * width);
        const names = strip.dataset.names.split('|');
        point(strip, x, y);
        show(layers(strip).map(([name, ids]) => name + '  ' + (names[ids[at]] || 'not labelled')).join('\n'), event);
        return;
      }
    }
    const told = target.closest('[data-tip]');
    if (told) show(told.dataset.tip, event); else tip.hidden = true;
  };
  addEventListener('pointermove', move);
  addEventListener('pointerdown', move);
  document.documentElement.addEventListener('pointerleave', () => { tip.hidden = true; });
  addEventListener('scroll', () => { tip.hidden = true; }, {passive: true});
})();
