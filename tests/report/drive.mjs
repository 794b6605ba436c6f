// Reports in a real Chromium: what a reader's eyes, hands and screen reader get, and that the page loads nothing, breaks
// no policy and runs nothing that a run has said.
//
// usage: node drive.mjs WORK PAGE.html… ; EDITORS has playwright-core, AXE is axe.min.js. Pictures are left in WORK.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [work, ...pages] = process.argv.slice(2);
const { chromium } = createRequire(path.join(process.env.EDITORS, 'vscode/x.js'))('playwright-core');
const axe = fs.readFileSync(process.env.AXE, 'utf8');

const problems = [];
const check = (holds, what) => {
  if (!holds) problems.push(what);
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND'],
});

async function open(file, options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const name = path.basename(file);
  page.on('console', (message) => check(message.type() !== 'error' && message.type() !== 'warning', `${name}: the console says: ${message.text()}`));
  page.on('pageerror', (error) => check(false, `${name}: the script fails: ${error.stack}`));
  page.on('dialog', (dialog) => { check(false, `${name}: a dialog opens: ${dialog.message()}`); void dialog.dismiss(); });
  const url = pathToFileURL(file).href;
  await page.route('**/*', (route) => {
    if (route.request().url().split('#')[0] === url) return route.continue();
    check(false, `${name}: it asks for ${route.request().url()}`);
    return route.abort();
  });
  await page.goto(url);
  await page.evaluate(() => document.fonts.ready);
  return { context, page };
}

/** Rules that axe finds broken; each with the first element that breaks it. */
async function accessible(page, name) {
  // It takes minutes where there are thousands of elements, and they are all of the same kinds.
  if ((await page.locator('.bar').count()) > 300) return;
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  check(found.passes.length > 15, `${name}: axe has checked only ${found.passes.length} rules`);
  for (const { id, nodes } of found.violations) {
    const list = nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} — ${node.failureSummary?.split('\n').slice(1, 3).join(' ')}`);
    check(false, `${name}: axe: ${id} (${nodes.length}): ${list.join(' | ')}`);
  }
}

/** Bars of one row may touch, never cover each other; all are inside the track. */
async function laid(page, name) {
  const bad = await page.evaluate(() => {
    const wrong = [];
    const track = document.getElementById('track').getBoundingClientRect();
    for (const row of document.querySelectorAll('.row')) {
      const boxes = [...row.querySelectorAll('.bar')].map((bar) => [bar, bar.getBoundingClientRect()]);
      for (const [bar, box] of boxes) {
        if (box.left < track.left - 12 || box.right > track.right + 12) wrong.push(`${bar.id} is outside`);
        if (box.bottom > row.getBoundingClientRect().bottom) wrong.push(`${bar.id} is below its row`);
      }
    }
    if (document.documentElement.scrollWidth > innerWidth) wrong.push(`the page is ${document.documentElement.scrollWidth} wide`);
    return wrong;
  });
  check(bad.length === 0, `${name}: ${bad.slice(0, 5).join(', ')}`);
}

/** Keys lead from bar to bar, the panel follows, zoom keeps the place, and a link opens its entry. */
async function used(page, name) {
  const bars = await page.locator('.bar').count();
  if (bars < 2) return;
  check((await page.locator('.bar[tabindex="0"]').count()) === 1, `${name}: one stop of the tab key for all bars`);
  await page.locator('.bar').first().focus();
  const first = await page.evaluate(() => document.activeElement.id);
  const title = () => page.locator('#detail h3').textContent();
  const before = await title();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  const second = await page.evaluate(() => document.activeElement.id);
  check(second !== first && second.startsWith('b'), `${name}: an arrow leads from ${first} to ${second}`);
  check((await title()) !== before || bars < 4, `${name}: the panel stays at ${before}`);
  const width = () => page.evaluate(() => document.getElementById('track').getBoundingClientRect().width);
  const small = await width();
  for (let i = 0; i < 6; i += 1) await page.keyboard.press('+');
  const large = await width();
  check(large > small * 4, `${name}: zoomed from ${small} to ${large}`);
  const labels = await page.locator('.tick').allTextContents();
  check(labels.length > 2 && new Set(labels).size === labels.length, `${name}: ticks ${labels.slice(0, 12).join(', ')}`);
  await laid(page, `${name}, zoomed`);
  await page.keyboard.press('0');
  check(Math.abs((await width()) - small) < 2, `${name}: 0 shows all again`);
  await page.keyboard.press('Enter');
  const arrived = await page.waitForFunction(() => {
    const target = document.getElementById(location.hash.slice(1));
    return target !== null && target === document.activeElement && target.open !== false;
  }, undefined, { timeout: 10_000 }).then(() => true, () => false);
  check(arrived, `${name}: Enter does not lead to what the bar is about`);
  await page.evaluate(() => scrollTo(0, 0));
}

/** The page from its top, so much of it as a picture can hold. */
async function picture(page, file) {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.screenshot({ path: file, fullPage: true, clip: { x: 0, y: 0, width: 1280, height: Math.min(height, 4000) } });
}

for (const file of pages) {
  const name = path.basename(file, '.html');
  const shot = (what) => path.join(work, `${name}-${what}.png`);
  for (const colorScheme of ['light', 'dark']) {
    const { context, page } = await open(file, { colorScheme });
    await laid(page, name);
    await accessible(page, `${name}, ${colorScheme}`);
    await picture(page, shot(colorScheme));
    if (colorScheme === 'light') await used(page, name);
    if (process.env.ALL) {
      await page.locator('.bar').nth(5).click().catch(() => undefined);
      await page.screenshot({ path: shot(`${colorScheme}-used`) });
    }
    await context.close();
  }
  const small = await open(file, { viewport: { width: 390, height: 800 }, colorScheme: 'light' });
  const wide = await small.page.evaluate(() => document.documentElement.scrollWidth);
  check(wide <= 390, `${name}: on a telephone the page is ${wide} wide`);
  await small.page.screenshot({ path: shot('small') });
  await small.context.close();
  // Without a script it is all there to be read; the buttons that would do nothing are not.
  const plain = await open(file, { javaScriptEnabled: false });
  check((await plain.page.locator('#zoom-in').isVisible()) === false, `${name}: buttons without a script`);
  check(await plain.page.locator('#h-timeline').isVisible(), `${name}: nothing without a script`);
  await plain.context.close();
  const paper = await open(file, { colorScheme: 'dark' });
  await paper.page.emulateMedia({ media: 'print' });
  const ground = await paper.page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--card').trim());
  check(ground === '#ffffff', `${name}: on paper the ground is ${ground}`);
  const heads = await paper.page.evaluate(() => [...document.querySelectorAll('table')].filter((table) => {
    const top = (row) => row?.getBoundingClientRect().top;
    const [head, foot, rows] = [top(table.tHead), top(table.tFoot), [...table.tBodies].flatMap((body) => [...body.rows]).map(top)];
    return !rows.every((row) => (head === undefined || head < row) && (foot === undefined || row < foot));
  }).length);
  check(heads === 0, `${name}: on paper ${heads} tables have their head or foot among their rows`);
  await picture(paper.page, shot('print'));
  await paper.page.pdf({ path: path.join(work, `${name}.pdf`), format: 'A4', printBackground: true, preferCSSPageSize: true });
  await paper.context.close();
  console.log(`${problems.length === 0 ? 'ok' : 'not ok'} ${name}`);
}
await browser.close();
for (const problem of problems) console.log(`not ok ${problem}`);
process.exit(problems.length === 0 ? 0 : 1);
