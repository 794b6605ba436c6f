// What the page does by itself: zoom, keys between bars, a closer look at one. Without it everything is still there to
// be read. It takes texts from the page as nodes and never as markup.
'use strict';
(() => {
  const scroller = document.getElementById('scroller');
  const track = document.getElementById('track');
  const axis = document.getElementById('axis');
  const detail = document.getElementById('detail');
  const whole = Number(scroller.dataset.whole);
  const bars = [...scroller.querySelectorAll('.bar')];
  const NAME = 86;
  // Browsers lay out some tens of millions of pixels at most.
  const MOST = Math.max(1, Math.min(8_000_000 / 1000, whole / 200));
  let zoom = 1;

  for (const element of document.querySelectorAll('.scripted')) if (element !== detail) element.hidden = false;

  const time = (us) => {
    if (us < 1e3) return `${Math.round(us)} µs`;
    if (us < 1e6) return `${(us / 1e3).toFixed(us < 1e4 ? 2 : us < 1e5 ? 1 : 0)} ms`;
    if (us < 60e6) return `${(us / 1e6).toFixed(us < 10e6 ? 3 : 2)} s`;
    return `${Math.floor(us / 60e6)} min ${((us / 1e6) % 60).toFixed(1)} s`;
  };

  // Round times at which the axis has its ticks, as many as there is room for.
  const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1e3]).concat(
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400].map((s) => s * 1e6),
  ).sort((a, b) => a - b);
  const tickText = (us, step) => {
    if (us === 0) return '0';
    if (step >= 60e6) return `${us / 60e6} min`;
    if (us >= 60e6) {
      const seconds = (us / 1e6) % 60;
      const digits = step >= 1e6 ? 0 : Math.min(6, Math.ceil(-Math.log10(step / 1e6)));
      return `${Math.floor(us / 60e6)}:${seconds.toFixed(digits).padStart(digits ? digits + 3 : 2, '0')} min`;
    }
    if (us >= 1e6) return `${+(us / 1e6).toFixed(6)} s`;
    return us >= 1e3 ? `${+(us / 1e3).toFixed(3)} ms` : `${us} µs`;
  };
  const drawAxis = () => {
    const width = axis.clientWidth;
    const step = STEPS.find((s) => (s / whole) * width >= 84) ?? 86400e6;
    // Only what is in sight, and a little more: at the highest zoom there would be very many.
    const left = Math.max(0, scroller.scrollLeft - 400);
    const right = scroller.scrollLeft + scroller.clientWidth + 400;
    const first = Math.floor(((left / width) * whole) / step);
    const last = Math.min(whole / step, ((right / width) * whole) / step);
    const ticks = [];
    for (let n = first; n <= last; n += 1) {
      const tick = document.createElement('span');
      tick.className = (n * step) / whole > 0.96 ? 'tick late' : 'tick';
      tick.style.left = `${((n * step) / whole) * 100}%`;
      tick.textContent = tickText(n * step, step);
      ticks.push(tick);
    }
    axis.replaceChildren(...ticks);
  };

  // The moment under this x of the window.
  const momentAt = (x) => {
    const box = axis.getBoundingClientRect();
    return Math.min(1, Math.max(0, (x - box.left) / box.width)) * whole;
  };
  const setZoom = (wanted, x) => {
    const box = scroller.getBoundingClientRect();
    const anchor = x ?? box.left + NAME + (box.width - NAME) / 2;
    const moment = momentAt(anchor);
    zoom = Math.min(MOST, Math.max(1, wanted));
    track.style.setProperty('--zoom', String(zoom));
    const now = axis.getBoundingClientRect();
    scroller.scrollLeft += now.left + (moment / whole) * now.width - anchor;
    drawAxis();
  };
  document.getElementById('zoom-in').addEventListener('click', () => setZoom(zoom * 1.6));
  document.getElementById('zoom-out').addEventListener('click', () => setZoom(zoom / 1.6));
  document.getElementById('zoom-fit').addEventListener('click', () => setZoom(1));
  scroller.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    setZoom(zoom * Math.exp(-event.deltaY / 300), event.clientX);
  }, { passive: false });
  let drawing = 0;
  const later = () => {
    drawing ||= requestAnimationFrame(() => {
      drawing = 0;
      drawAxis();
    });
  };
  scroller.addEventListener('scroll', later, { passive: true });
  new ResizeObserver(later).observe(scroller);

  // Drag to pan; a click stays a click.
  let drag;
  scroller.addEventListener('pointerdown', (event) => {
    if (event.button === 0 && event.pointerType === 'mouse') drag = { x: event.clientX, left: scroller.scrollLeft, moved: false };
  });
  addEventListener('pointermove', (event) => {
    if (!drag) return;
    const by = event.clientX - drag.x;
    if (Math.abs(by) > 4) drag.moved = true;
    if (drag.moved) scroller.scrollLeft = drag.left - by;
  });
  addEventListener('pointerup', () => setTimeout(() => { drag = undefined; }));
  scroller.addEventListener('dragstart', (event) => event.preventDefault());

  // The moment under the pointer.
  const cursor = document.createElement('div');
  cursor.id = 'cursor';
  cursor.hidden = true;
  cursor.setAttribute('aria-hidden', 'true');
  const said = document.createElement('span');
  cursor.append(said);
  track.append(cursor);
  scroller.addEventListener('pointermove', (event) => {
    const box = axis.getBoundingClientRect();
    const x = event.clientX - box.left;
    cursor.hidden = x < 0 || x > box.width || event.clientX < scroller.getBoundingClientRect().left + NAME;
    cursor.style.left = `${x + NAME}px`;
    cursor.classList.toggle('left', event.clientX > scroller.getBoundingClientRect().right - 90);
    said.textContent = time(momentAt(event.clientX));
  });
  scroller.addEventListener('pointerleave', () => { cursor.hidden = true; });

  // A closer look at one bar: its entry below, brought here.
  let chosen;
  const look = (bar) => {
    if (chosen === bar) return;
    chosen?.classList.remove('chosen');
    chosen = bar;
    bar.classList.add('chosen');
    const from = Number(bar.dataset.from);
    const to = Number(bar.dataset.to);
    const title = document.createElement('h3');
    title.textContent = bar.querySelector('.label').textContent;
    const spans = document.createElement('p');
    spans.className = 'spans';
    for (const text of [`from ${time(from)}`, `to ${time(to)}`, `${time(to - from)} in all`]) {
      const span = document.createElement('span');
      span.textContent = text;
      spans.append(span);
    }
    const entry = document.getElementById(bar.hash.slice(1));
    const parts = [];
    if (entry?.localName === 'details') {
      parts.push(...[...entry.children].filter((child) => child.localName !== 'summary').map((child) => child.cloneNode(true)));
    } else if (entry?.localName === 'tr') {
      const line = document.createElement('p');
      line.textContent = entry.lastElementChild.textContent;
      parts.push(line);
    } else if (entry) {
      parts.push(...[...entry.children].filter((child) => child.localName !== 'h3').map((child) => child.cloneNode(true)));
    }
    detail.replaceChildren(title, spans, ...parts);
    detail.hidden = false;
  };
  const go = (bar) => {
    for (const other of bars) other.tabIndex = other === bar ? 0 : -1;
    bar.focus({ preventScroll: true });
    const box = bar.getBoundingClientRect();
    const view = scroller.getBoundingClientRect();
    if (box.left < view.left + NAME || box.left > view.right - 40) scroller.scrollLeft += box.left - view.left - NAME - 60;
    bar.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  };
  const rows = [...scroller.querySelectorAll('.row')].map((row) =>
    [...row.querySelectorAll('.bar')].sort((a, b) => Number(a.dataset.from) - Number(b.dataset.from)));
  const place = (bar) => {
    const row = rows.findIndex((list) => list.includes(bar));
    return { row, at: rows[row]?.indexOf(bar) ?? -1 };
  };
  const nearest = (list, bar) => {
    const from = Number(bar.dataset.from);
    return list?.reduce((best, other) =>
      Math.abs(Number(other.dataset.from) - from) < Math.abs(Number(best.dataset.from) - from) ? other : best);
  };
  bars.forEach((bar, index) => {
    bar.tabIndex = index === 0 ? 0 : -1;
    bar.addEventListener('focus', () => look(bar));
    bar.addEventListener('pointerenter', () => { if (!drag && !scroller.contains(document.activeElement)) look(bar); });
    bar.addEventListener('click', (event) => {
      // The first click looks closer, the second follows the link.
      const moved = drag?.moved;
      const again = bar.dataset.clicked === 'yes';
      for (const other of bars) delete other.dataset.clicked;
      if (moved || (!again && event.detail > 0)) event.preventDefault();
      if (!moved) bar.dataset.clicked = 'yes';
      look(bar);
    });
  });
  scroller.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { '+': () => setZoom(zoom * 1.6), '=': () => setZoom(zoom * 1.6), '-': () => setZoom(zoom / 1.6), 0: () => setZoom(1) };
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
      return;
    }
    const bar = document.activeElement;
    if (!bars.includes(bar)) return;
    const { row, at } = place(bar);
    const list = rows[row];
    const to = {
      ArrowRight: () => list[at + 1],
      ArrowLeft: () => list[at - 1],
      ArrowDown: () => nearest(rows[row + 1], bar),
      ArrowUp: () => nearest(rows[row - 1], bar),
      Home: () => list[0],
      End: () => list.at(-1),
    }[event.key];
    if (!to) return;
    event.preventDefault();
    const next = to();
    if (next) go(next);
  });

  // A link to something folded opens it.
  const unfold = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.localName === 'details') target.open = true;
    target?.focus({ preventScroll: true });
  };
  addEventListener('hashchange', unfold);
  unfold();

  // In VS Code the editor's theme decides, not the system's.
  const dark = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
    .find((rule) => rule.conditionText?.includes('prefers-color-scheme: dark'));
  const theme = () => {
    const { classList } = document.body;
    if (classList.contains('vscode-dark') || classList.contains('vscode-high-contrast')) dark.media.mediaText = 'screen';
    else if (classList.contains('vscode-light')) dark.media.mediaText = 'not all';
  };
  if (dark) {
    theme();
    new MutationObserver(theme).observe(document.body, { attributeFilter: ['class'] });
  }

  // Where the run began, in the reader's own time.
  const began = document.querySelector('time');
  if (began) began.textContent = new Date(began.dateTime).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

  addEventListener('beforeprint', () => setZoom(1));
  drawAxis();
})();
