// How it looks and reads: themes, contrast, the keyboard, a screen reader, the walkthrough, conversations of earlier days.
import fs from 'node:fs';
import { until } from './workbench.mjs';

const axe = fs.readFileSync(process.env.AXE, 'utf8');
/** Names of themes, and the class that a page in them has. */
const THEMES = [
  ['Dark Modern', 'vscode-dark'],
  ['Light Modern', 'vscode-light'],
  ['Default High Contrast', 'vscode-high-contrast'],
  ['Default High Contrast Light', 'vscode-high-contrast-light'],
];

export function looks({ bench, model }) {
  const { page } = bench;
  const keys = (combination) => page.keyboard.press(combination);
  const steps = {};

  /** Rules of accessibility that the page breaks, as axe sees it: names, roles, contrast. */
  async function accessible(name) {
    const frame = await bench.viewFrame();
    await frame.evaluate(axe);
    const found = await frame.evaluate(async () => {
      // The page lets the side bar behind it through, which axe cannot see.
      const { style } = document.documentElement;
      style.backgroundColor = 'var(--vscode-sideBar-background)';
      const { violations, passes } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
      style.backgroundColor = '';
      return { passes: passes.length, broken: violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`).join(' | ')}`) };
    });
    if (found.passes < 12) throw new Error(`${name}: axe has checked only ${found.passes} rules`);
    if (found.broken.length > 0) throw new Error(`${name}: ${found.broken.join('\n')}`);
  }

  for (const [at, [theme, look]] of THEMES.entries()) {
    steps[`the view in ${theme}: nothing unreadable, nothing without a name`] = async () => {
      if (at === 0) {
        await bench.palette('View: Show Ropeway');
        await bench.view.getByLabel('Your instruction').fill('Is there a test, and does it pass?');
        await keys('Enter');
        const first = await model.next();
        first.text('There is `test_till.py`. I run it:').call('grep', { pattern: 'def test' }).call('read_file', { path: 'till.py' });
        first.call('run_command', { command: 'python3 -m pytest -q test_till.py' }).end();
        await bench.view.getByRole('alertdialog').waitFor();
      }
      await bench.set({ 'workbench.colorTheme': theme });
      const frame = await bench.viewFrame();
      await until(`the page is in ${theme}`, () => frame.evaluate((name) => document.body.classList.contains(name), look));
      await bench.shot(`20-theme-${at + 1}`);
      await accessible(theme);
    };
  }

  steps['everything in the view can be reached with Tab, and a question is never answered by a key meant for the box'] = async () => {
    await bench.set({});
    const frame = await bench.viewFrame();
    const box = bench.view.getByLabel('Your instruction');
    await box.click();
    const name = () => frame.evaluate(() => {
      const at = document.activeElement;
      return `${at.tagName} ${at.getAttribute('aria-label') ?? at.textContent.slice(0, 40)}`;
    });
    const wanted = await frame.evaluate(() =>
      [...document.querySelectorAll('button, select, textarea, summary, [tabindex="0"]')]
        .filter((one) => !one.disabled && one.checkVisibility())
        .map((one) => `${one.tagName} ${one.getAttribute('aria-label') ?? one.textContent.slice(0, 40)}`));
    const reached = new Set([await name()]);
    for (let i = 0; i < wanted.length * 2; i += 1) {
      await keys('Shift+Tab');
      if (!(await frame.evaluate(() => document.hasFocus() && document.activeElement !== document.body))) break;
      reached.add(await name());
    }
    await box.click();
    for (let i = 0; i < 6; i += 1) {
      await keys('Tab');
      if (!(await frame.evaluate(() => document.hasFocus() && document.activeElement !== document.body))) break;
      reached.add(await name());
    }
    const missed = wanted.filter((one) => !reached.has(one));
    if (wanted.length < 8 || missed.length > 0) throw new Error(`not reached: ${missed.join(', ')} of ${wanted.join(', ')}`);

    // By the keyboard alone: from the box back to the last button, which is no, and to the one before.
    await box.click();
    await keys('Shift+Tab');
    if (!(await name()).includes('Deny')) throw new Error(`the question stands before the box: ${await name()}`);
    await keys('Enter');
    const second = await model.next();
    if (!second.results().at(-1).includes('did not allow')) throw new Error(`a no: ${second.results().at(-1)}`);
    // One more, while the user writes: what they press goes to the box.
    await box.fill('Then ');
    second.call('run_command', { command: 'python3 till.py' }).end();
    await bench.view.getByRole('alertdialog').waitFor();
    await page.keyboard.type('run it ');
    if ((await box.inputValue()) !== 'Then run it ') throw new Error(`the box has ${await box.inputValue()}`);
    await bench.view.getByRole('alertdialog').waitFor();
    await box.fill('');
    await bench.view.getByRole('button', { name: 'Deny' }).click();
    (await model.next()).text('I do not know whether it passes.').end();
    await bench.says('Ropeway');
  };

  steps['the walkthrough leads from a provider to the first change'] = async () => {
    await bench.palette('Ropeway: Get Started');
    const page1 = page.locator('.gettingStartedContainer');
    await page1.getByText('Get started with Ropeway').first().waitFor();
    for (const title of ['Choose a provider', 'See that all is there', 'Watch a whole run', 'Ask for a change']) {
      await page1.getByText(title).first().waitFor();
    }
    await page1.getByText('See that all is there').first().click();
    await bench.shot('21-walkthrough');
    await page1.getByRole('button', { name: 'Run Doctor' }).click();
    await bench.terminalSays('ROPEWAY_CONFIG');
    await bench.shot('22-doctor');
    await keys('Control+J');
    await page.locator('.tab.active', { hasText: 'Welcome' }).click();
    await keys('Control+W');
  };

  steps['a conversation of an earlier session is read again, and goes on'] = async () => {
    await bench.palette('Ropeway: Restart Server');
    await bench.says('small');
    // A page that is loaded anew is a new session of everything. Editors that were closed just before are open again, the
    // walkthrough with a page of its own among them.
    await bench.palette('File: Save All');
    await bench.open();
    await bench.says('small');
    await bench.palette('View: Close All Editors');
    await page.locator('.tabs-container .tab').first().waitFor({ state: 'detached' });
    await bench.palette('View: Show Ropeway');
    const threads = bench.view.getByRole('combobox', { name: 'Conversation' });
    // The one that was used last comes first.
    const option = threads.locator('option', { hasText: 'Earlier: ' }).first();
    await option.waitFor({ state: 'attached' });
    await threads.selectOption(await option.getAttribute('value'));
    await bench.view.getByText('I do not know whether it passes.').waitFor();
    await bench.shot('23-earlier');
    await bench.view.getByLabel('Your instruction').fill('And now?');
    await keys('Enter');
    const first = await model.next();
    if (!JSON.stringify(first.body.messages).includes('I do not know whether it passes')) throw new Error('it begins anew');
    first.text('Still not.').end();
    await bench.view.locator('.chip.answered').waitFor();
    await bench.view.getByText('I do not know whether it passes.').waitFor();
  };
  return steps;
}
