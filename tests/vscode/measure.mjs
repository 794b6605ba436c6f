// Figures, taken with `MEASURE=activation`, `typing` or `all` (after all other steps) before `tests/vscode/run`;
// MEASURE_HIDDEN: with the view closed. Printed, not judged, since they are of the machine as well.

const WINDOWS = 8;

/** What VS Code itself says of the activation, in windows opened one after the other: loading the bundle and `activate`. */
export async function activation(bench) {
  const took = [];
  for (let i = 0; i < WINDOWS; i += 1) {
    await bench.open();
    await bench.says('small');
    await bench.palette('Developer: Show Running Extensions');
    const row = bench.page.locator('.runtime-extensions-editor .monaco-list-row', { hasText: 'Ropeway' }).first();
    await row.waitFor();
    took.push(Number(/Activation: (\d+)/.exec(await row.innerText())?.[1]));
    await bench.page.keyboard.press('Control+W');
  }
  const own = [...bench.log().matchAll(/Activated in ([\d.]+) ms/g)].map((match) => match[1]);
  console.log(`activation: ${took.join(', ')} ms, of which \`activate\` ${own.slice(-WINDOWS).join(', ')} ms`);
}

const KEYS = 120;
/** Rounds of each kind. The one at rest comes first and last in turn, so that a drift of the machine meets all alike. */
const ROUNDS = 5;

const sorted = (values) => [...values].sort((a, b) => a - b);
const at = (values, share) => values[Math.min(values.length - 1, Math.floor(values.length * share))];
const line = (values) =>
  [0.25, 0.5, 0.75, 0.95].map((share) => `p${share * 100} ${at(sorted(values), share).toFixed(1)}`).join(', ');

/** From a key to its character in the document's view: with no run, with one that is silent, and with one that streams. */
export async function typing(bench, model) {
  await bench.quickOpen('till.py');
  await bench.page.evaluate(() => {
    window.latencies = [];
    let pressed;
    document.addEventListener('keydown', () => (pressed = performance.now()), true);
    new MutationObserver(() => {
      if (pressed !== undefined) window.latencies.push(performance.now() - pressed);
      pressed = undefined;
    }).observe(document.querySelector('.editor-instance .view-lines'), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const rounds = new Map();
  const round = async (name) => {
    await bench.goTo(1);
    await bench.page.evaluate(() => (window.latencies.length = 0));
    await bench.page.keyboard.type('# '.padEnd(KEYS, 'x'), { delay: 30 });
    const all = await bench.page.evaluate(() => window.latencies);
    console.log(`typing, ${name}: ${line(all)} ms (${all.length} keys)`);
    if (!rounds.has(name)) rounds.set(name, []);
    rounds.get(name).push(all);
    await bench.page.keyboard.press('Enter');
  };
  const running = async (name, speaks) => {
    await bench.palette('Ropeway: Explain');
    const asked = await model.next();
    asked.text('Word ');
    const timer = speaks ? setInterval(() => asked.text('after word after word after '), 10) : undefined;
    await bench.says('thinking');
    await round(name);
    clearInterval(timer);
    asked.end();
    await bench.says('Ropeway');
    await bench.palette('Notifications: Clear All Notifications');
  };
  if (process.env.MEASURE_HIDDEN === undefined) {
    await bench.palette('View: Show Ropeway');
    await bench.view.getByLabel('Your instruction').waitFor();
  } else await bench.page.keyboard.press('Control+Shift+E');
  await bench.lines.click();
  // Code that is used for the first time is slow, in a browser, whosever it is.
  await round('warming up');
  await running('warming up', true);
  for (let i = 0; i < ROUNDS; i += 1) {
    if (i % 2 === 0) await round('at rest');
    await running('a silent run', false);
    await running('a run that streams', true);
    if (i % 2 === 1) await round('at rest');
  }
  rounds.delete('warming up');
  for (const [name, all] of rounds) {
    const medians = sorted(all.map((one) => at(sorted(one), 0.5)));
    console.log(`typing, ${name}, all ${all.length} rounds: ${line(all.flat())} ms; medians of rounds ${medians.map((m) => m.toFixed(1)).join(', ')}`);
  }
}
